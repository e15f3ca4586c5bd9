// SPDX-License-Identifier: Apache-2.0

// Hostile bytes: what a device, or who has its token, offers to give back.

package core_test

import (
	"errors"
	"reflect"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/core/coretest"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// FuzzOffer: an offer is refused with a sentence, or is a run of events that goes on from the log, or agrees with it; what
// is to be taken follows the head, and nothing is taken that lacks content it should have. Twice the same.
func FuzzOffer(f *testing.F) {
	m := coretest.New()
	do := func(cmd core.Command) {
		if reply, _ := m.Do(cmd, core.Env{NowMs: 1_772_000_000_000}); reply.Err != nil {
			f.Fatal(reply.Err)
		}
	}
	do(&core.Create{Actor: core.Actor{User: "alice"}, Conversation: "team", Members: []tidemark.UserID{"bob"}})
	do(says("alice", "team", "a1", "one"))
	copied := m.Clone()
	do(says("bob", "team", "b1", "two"))
	do(&core.Submit{
		Actor: core.Actor{User: "bob"}, Conversation: "team", ClientID: "b2", Edit: &wire.Edit{Seq: 3, Message: &wire.Message{Text: "2"}},
	})
	do(&core.Submit{Actor: core.Actor{User: "bob"}, Conversation: "team", ClientID: "b3", Recall: &wire.Recall{Seq: 3}})
	log := m.LogForm("team")
	for from := range log {
		data, err := (&wire.GiveBackRequest{Conversation: "team", Events: log[from:]}).MarshalVT()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var request wire.GiveBackRequest
		if request.UnmarshalVT(data) != nil {
			return
		}
		id, head := tidemark.ConversationID(request.Conversation), &record.Head{}
		if info, known := copied.Conversation(id); known {
			head = copied.Head(info.Ordinal)
		}
		o, err := core.ReadOffer(id, head, copied.DigestAt(id), request.Events)
		if err != nil {
			if refused := new(tidemark.Error); !errors.As(err, &refused) || refused.Message == "" {
				t.Fatalf("refused without a reason: %v", err)
			}
			return
		}
		if again, err := core.ReadOffer(id, head, copied.DigestAt(id), request.Events); err != nil || !reflect.DeepEqual(o, again) {
			t.Fatalf("read twice: %+v and %+v, %v", o, again, err)
		}
		for i, give := range o.Give {
			if seq := tidemark.Seq(give.Event.GetSeq()); seq != head.Seq+tidemark.Seq(i)+1 || seq > o.Last || give.Conversation != id {
				t.Fatalf("event %d of %s is taken as number %d past %d, the last is %d", seq, give.Conversation, i, head.Seq, o.Last)
			}
			if kind := record.BodyKind(give.Event.Kind); len(give.Event.Body) == 0 && kind != record.MessageBody && kind != record.EditBody {
				t.Fatalf("an event of kind %d is taken without its body", kind)
			}
			if names := give.Names(); string(names[0]) != give.Event.Sender || len(names) != 1+len(give.Added()) {
				t.Fatalf("event %d names %q", give.Event.Seq, names)
			}
		}
		if n := len(o.Give); n > 0 && o.Last == head.Seq+tidemark.Seq(n) && o.Give[n-1].Digest != o.Digest {
			t.Fatalf("the last event is %s, the offer leads to %s", o.Give[n-1].Digest, o.Digest)
		}
	})
}
