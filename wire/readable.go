// SPDX-License-Identifier: Apache-2.0

// JSON: the readable form of events, strict reading of requests and compact writing.

package wire

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	tidemark "github.com/tidemark-im/tidemark"
)

// Readable replaces, in place, the events anywhere in m (a frame, or an answer of a service) by their readable form for
// JSON: `body` is the Body itself, with bodyHash and kind beside it, and without the bytes and the salt. Messages
// without events are left as they are. m must not be shared; the events it refers to are copied, not changed.
func Readable(m proto.Message) {
	switch m := m.(type) {
	case *ServerFrame:
		switch f := m.GetFrame().(type) {
		case *ServerFrame_Delta:
			Readable(f.Delta)
		case *ServerFrame_Fetched:
			Readable(f.Fetched)
		}
	case *Delta:
		m.Conversations = readableDeltas(m.GetConversations())
	case *PullResponse:
		m.Conversations = readableDeltas(m.GetConversations())
	case *ListResponse:
		m.Conversations = readableDeltas(m.GetConversations())
	case *GetResponse:
		if m.Conversation != nil {
			m.Conversation = readableDelta(m.Conversation)
		}
	case *Fetched:
		m.Events = readableEvents(m.GetEvents())
	case *PinsResponse:
		m.Events = readableEvents(m.GetEvents())
	case *MentionsResponse:
		for _, mention := range m.GetMentions() {
			Readable(mention)
		}
	case *Mention:
		if m.Event != nil {
			m.Event = readableEvent(m.Event)
		}
	case *ChangesResponse:
		if m.Groups != nil {
			Readable(m.Groups)
		}
	case *GroupsChanges:
		m.Joined, m.Changed = readableDeltas(m.GetJoined()), readableDeltas(m.GetChanged())
	case *ConversationDelta:
		m.Events = readableEvents(m.GetEvents())
	case *Event:
		e := readableEvent(m)
		m.Salt, m.Body, m.BodyHash, m.Kind, m.BodyJson = e.Salt, e.Body, e.BodyHash, e.Kind, e.BodyJson
	}
}

// readableFrame is a copy of the frame, as deep as needed, whose events are readable.
func readableFrame(m *ServerFrame) *ServerFrame {
	switch f := m.GetFrame().(type) {
	case *ServerFrame_Delta:
		if d := f.Delta; d != nil {
			return &ServerFrame{Frame: &ServerFrame_Delta{Delta: &Delta{
				Conversations: readableDeltas(d.Conversations), Profiles: d.Profiles, Checkpoints: d.Checkpoints, Live: d.Live}}}
		}
	case *ServerFrame_Fetched:
		if p := f.Fetched; p != nil {
			return &ServerFrame{Frame: &ServerFrame_Fetched{Fetched: &Fetched{
				Request: p.Request, Conversation: p.Conversation, Events: readableEvents(p.Events), HeadSeq: p.HeadSeq,
				HeadDigest: p.HeadDigest, PrevDigest: p.PrevDigest, FloorSeq: p.FloorSeq, HasMore: p.HasMore,
				HeadSeal: p.HeadSeal}}}
		}
	}
	return m
}

func readableDeltas(deltas []*ConversationDelta) []*ConversationDelta {
	out := make([]*ConversationDelta, len(deltas))
	for i, d := range deltas {
		out[i] = readableDelta(d)
	}
	return out
}

func readableDelta(d *ConversationDelta) *ConversationDelta {
	if len(d.GetEvents()) == 0 {
		return d
	}
	return &ConversationDelta{
		Id: d.Id, Partition: d.Partition, Info: d.Info, Self: d.Self, HeadSeq: d.HeadSeq, HeadDigest: d.HeadDigest,
		Unread: d.Unread, Mentions: d.Mentions, LastTimeMs: d.LastTimeMs, PrevSeq: d.PrevSeq, PrevDigest: d.PrevDigest,
		Events: readableEvents(d.Events), Removed: d.Removed, FloorSeq: d.FloorSeq, HeadSeal: d.HeadSeal,
	}
}

func readableEvents(events []*Event) []*Event {
	out := make([]*Event, len(events))
	for i, e := range events {
		out[i] = readableEvent(e)
	}
	return out
}

func readableEvent(e *Event) *Event {
	out := &Event{
		Seq: e.GetSeq(), Id: e.GetId(), TimeMs: e.GetTimeMs(), Sender: e.GetSender(), ClientId: e.GetClientId(),
		Counted: e.GetCounted(), BodyHash: e.GetBodyHash(), Kind: e.GetKind(), BodyJson: e.GetBodyJson(), Edited: e.GetEdited(),
		Recalled: e.GetRecalled(), Erased: e.GetErased(), Reactions: e.GetReactions(), Pinned: e.GetPinned(),
		ThreadCount: e.GetThreadCount(), ThreadSeq: e.GetThreadSeq(), Hidden: e.GetHidden(),
		Thread: e.GetThread(),
	}
	if len(e.GetBody()) == 0 {
		return out
	}
	body := &Body{}
	if err := body.UnmarshalVT(e.Body); err != nil {
		return out // what cannot be read is not shown; its hash is
	}
	out.BodyJson = body
	if len(out.BodyHash) == 0 {
		hash := sha256.New()
		hash.Write(e.Salt)
		hash.Write(e.Body)
		out.BodyHash, out.Kind = hash.Sum(nil), uint32(BodyKind(body))
	}
	return out
}

// AppendJSON appends m in protobuf's JSON mapping, without any white space, to dst. Events are written as they are: see
// [Readable].
func AppendJSON(dst []byte, m proto.Message) ([]byte, error) {
	used := len(dst)
	out, err := protojson.MarshalOptions{}.MarshalAppend(dst, m)
	if err != nil {
		return dst, fmt.Errorf("wire: encode: %w", err)
	}
	return out[:used+compact(out[used:])], nil
}

// compact removes white space outside strings, in place, and returns the length of what is left. The library writes
// spaces at random places so that nobody relies on them; without them, bytes are saved and answers are stable.
func compact(data []byte) int {
	n, inString := 0, false
	for i := 0; i < len(data); i++ {
		c := data[i]
		switch {
		case inString && c == '\\':
			data[n] = c
			n++
			i++
			c = data[i]
		case c == '"':
			inString = !inString
		case !inString && (c == ' ' || c == '\n' || c == '\t' || c == '\r'):
			continue
		}
		data[n] = c
		n++
	}
	return n
}

// DecodeJSON reads a request of the HTTP API strictly: a field that does not exist is an error, not passed over, because
// there it is a typing mistake. The error is a refusal BAD_ARGUMENT that names the field and the place.
func DecodeJSON(data []byte, m proto.Message) error {
	err := protojson.Unmarshal(data, m)
	if err == nil {
		return nil
	}
	text := strings.ReplaceAll(err.Error(), "\u00a0", " ") // the library varies its white space on purpose
	text = strings.TrimSpace(strings.TrimPrefix(text, "proto:"))
	return tidemark.Refuse(tidemark.BadArgument, "the request is not JSON of %s: %s", m.ProtoReflect().Descriptor().Name(), text)
}
