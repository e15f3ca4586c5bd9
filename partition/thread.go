// SPDX-License-Identifier: Apache-2.0

// Pages of a thread, and the look at a message that another forwards.

package partition

import (
	"cmp"
	"errors"
	"math"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/wire"
)

// thread chooses the answers of a page, at most one more than its limit, in the direction of the page.
func (g *page) thread(root tidemark.Seq, f *wire.Fetch) ([]tidemark.Seq, error) {
	if root <= g.sight.Floor || root > g.sight.Head.Seq {
		return nil, tidemark.Refuse(tidemark.UnknownEvent, "thread: %s has no event %d", g.sight.Info.ID, root)
	}
	switch f.GetFrom().(type) {
	case *wire.Fetch_At, *wire.Fetch_Hour:
		return nil, tidemark.Refuse(tidemark.BadArgument, "a thread is read after or before a seq, or from its latest answer")
	}
	if err := g.choose(f); err != nil {
		return nil, err
	}
	c := g.sight.Info.Ordinal
	seqs, err := g.sight.Partition.thread(c, root, g.from, g.to, g.backwards, g.limit+1)
	if err != nil {
		return nil, err
	}
	if head, err := g.sight.Partition.head(c); err != nil || head != nil && root <= head.Floor { // trimmed meanwhile
		return nil, cmp.Or(err, error(tidemark.Refuse(tidemark.UnknownEvent, "thread: event %d of %s is no longer kept", root, g.sight.Info.ID)))
	}
	return seqs, nil
}

// fetchThread reads a page of the answers in a thread. Its events are no stretch of the log: there is no prevDigest.
func (g *page) fetchThread(f *wire.Fetch, answer *wire.Fetched) (*wire.Fetched, error) {
	seqs, err := g.thread(tidemark.Seq(min(f.GetThread(), math.MaxInt64)), f)
	if err != nil {
		return nil, err
	}
	bytes := 0
	for _, seq := range seqs {
		event, err := g.sight.Event(seq)
		if err != nil {
			return nil, err
		}
		if event == nil {
			continue
		}
		bytes += event.SizeVT()
		if len(answer.Events) == g.limit || bytes > g.bytesMax && len(answer.Events) > 0 {
			answer.HasMore = true
			break
		}
		answer.Events = append(answer.Events, event)
	}
	if g.backwards {
		slices.Reverse(answer.Events)
	}
	return answer, nil
}

// judge looks up what a command needs to know of other partitions, and writes it into the command.
func (s *Set) judge(cmd core.Command) error {
	switch cmd := cmd.(type) {
	case *core.Create:
		cmd.Unwilling = s.unwilling(cmd.Actor.User, cmd.Members)
	case *core.AddMembers:
		cmd.Unwilling = s.unwilling(cmd.Actor.User, cmd.Members)
	case *core.Submit:
		return s.judgeSubmit(cmd)
	case *core.Schedule:
		return s.judgeSubmit(cmd.Submit)
	}
	return nil
}

// judgeSubmit is judge for a submission: whether the other user of a direct conversation exists and accepts it, and
// whether what it forwards is there.
func (s *Set) judgeSubmit(submit *core.Submit) error {
	if err := s.askConsent(submit); err != nil {
		return err
	}
	submit.Peer = s.judgePeer(submit)
	if submit.Message.GetForwarded() != nil {
		submit.Forward = &core.Verdict{Refused: s.judgeForward(submit)}
	}
	return nil
}

// judgeForward says whether the sender sees, now, what the message says it forwards, and whether it is that.
func (s *Set) judgeForward(submit *core.Submit) *tidemark.Error {
	f, user := submit.Message.GetForwarded(), submit.Actor.User
	if user == tidemark.SystemUser {
		user = ""
	}
	sight, err := s.See(user, tidemark.ConversationID(f.GetConversation()))
	var source *wire.Event
	if err == nil {
		source, err = sight.Event(tidemark.Seq(f.GetSeq()))
	}
	var refused *tidemark.Error
	if err != nil && !errors.As(err, &refused) {
		return tidemark.Refuse(tidemark.Unavailable, "what the message forwards cannot be read now: send it again")
	}
	return core.JudgeForward(submit.Message, source)
}
