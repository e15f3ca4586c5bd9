// SPDX-License-Identifier: Apache-2.0

// Checks must be able to fail: each row spoils one thing between the kit and the real server, and names the statements of
// which at least one check must notice.

package conformance

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/tidemark-im/tidemark/wire"
)

type frames = []*wire.ServerFrame

// changing spoils frames by changing them.
func changing(change func(f *wire.ServerFrame)) fault {
	return fault{frame: func(_ *link, f *wire.ServerFrame) frames { change(f); return frames{f} }}
}

// dropping spoils by leaving out frames.
func dropping(drop func(f *wire.ServerFrame) bool) fault {
	return fault{frame: func(_ *link, f *wire.ServerFrame) frames {
		if drop(f) {
			return nil
		}
		return frames{f}
	}}
}

// deltas spoils the deltas of conversations.
func deltas(change func(c *wire.ConversationDelta)) fault {
	return changing(func(f *wire.ServerFrame) {
		for _, c := range f.GetDelta().GetConversations() {
			change(c)
		}
	})
}

// events spoils events on every path of the connection.
func events(change func(e *wire.Event)) fault {
	return changing(func(f *wire.ServerFrame) {
		for _, c := range f.GetDelta().GetConversations() {
			for _, e := range c.GetEvents() {
				change(e)
			}
		}
		for _, e := range f.GetFetched().GetEvents() {
			change(e)
		}
	})
}

// replacing spoils answers over HTTP of the methods with this ending, by replacing text in them.
func replacing(method, old, new string) fault {
	return fault{answer: func(path string, status int, body []byte) (int, []byte) {
		if strings.HasSuffix(path, method) {
			body = bytes.ReplaceAll(body, []byte(old), []byte(new))
		}
		return status, body
	}}
}

// flip changes a digest, if there is one.
func flip(digest []byte) {
	if len(digest) > 0 {
		digest[0] ^= 1
	}
}

// errorsBy spoils error frames.
func errorsBy(change func(e *wire.Error)) fault {
	return changing(func(f *wire.ServerFrame) {
		if e := f.GetError(); e != nil {
			change(e)
		}
	})
}

// spoil is a row.
type spoil struct {
	name     string
	noticing string // statements, each of which has a check that must fail
	fault    fault
}

// spoils are the rows of sections 1, 3, 4 and the first part of 2; others are in files of their own.
var spoils = []spoil{
	{"a handshake is refused with another status", "1.1", fault{refusing: func(r *refusedUpgrade) { r.status = http.StatusForbidden }}},
	{"a refused handshake does not name the subprotocols", "1.1", fault{refusing: func(r *refusedUpgrade) { r.text = "no" }}},
	{"wrong tokens are taken over HTTP", "1.2,1.8", fault{answer: func(_ string, status int, body []byte) (int, []byte) {
		if status == http.StatusUnauthorized {
			return http.StatusOK, []byte("{}")
		}
		return status, body
	}}},
	{"welcome names another user", "1.2,1.4,2.1", changing(func(f *wire.ServerFrame) {
		if w := f.GetWelcome(); w != nil {
			w.User = "somebody"
		}
	})},
	{"the user for whom the app acts is forgotten", "1.3", fault{call: func(_ string, header http.Header, body []byte) []byte {
		header.Del("Tidemark-User")
		return body
	}}},
	{"the token in the header of the handshake is not seen", "1.4", fault{upgrade: func(header http.Header) { header.Del("Authorization") }}},
	{"ids outside the alphabet are taken", "1.5", fault{answer: func(path string, status int, body []byte) (int, []byte) {
		if strings.HasSuffix(path, "UserService/Upsert") {
			return http.StatusOK, []byte("{}")
		}
		return status, body
	}}},
	{"the direct conversation is named in the order of writing", "1.5", changing(func(f *wire.ServerFrame) {
		if a, b, direct := strings.Cut(f.GetSubmitted().GetConversation(), "~"); direct {
			f.GetSubmitted().Conversation = b + "~" + a
		}
	})},
	{"a clientId that is too long is cut", "1.6", fault{call: func(_ string, _ http.Header, body []byte) []byte {
		return bytes.ReplaceAll(body, []byte(strings.Repeat("x", 65)), []byte(strings.Repeat("x", 63)))
	}}},
	{"unknown fields are passed over in calls", "1.7", fault{call: func(_ string, _ http.Header, body []byte) []byte {
		return bytes.ReplaceAll(bytes.ReplaceAll(body, []byte(`,"flavour":"sweet"`), nil), []byte(`"flavour":{}`), nil)
	}}},
	{"unknown fields are refused in frames", "1.7", changing(func(f *wire.ServerFrame) {
		if f.GetPong().GetRequest() > 70 && f.GetPong().GetRequest() < 80 {
			f.Frame = &wire.ServerFrame_Error{Error: &wire.Error{Request: f.GetPong().GetRequest(), Reason: wire.Reason_BAD_ARGUMENT}}
		}
	})},
	{"revoking is only kicking", "1.8", fault{call: func(_ string, _ http.Header, body []byte) []byte {
		return bytes.ReplaceAll(body, []byte(`,"revoke":true`), nil)
	}}},

	{"deltas are live before synced", "2.1", fault{frame: func(_ *link, f *wire.ServerFrame) frames {
		if d := f.GetDelta(); d != nil {
			d.Live = true
		}
		return frames{f}
	}}},
	{"one event in five is lost", "2.1,2.6,2.9", fault{frame: func(l *link, f *wire.ServerFrame) frames {
		for _, c := range f.GetDelta().GetConversations() {
			c.Events = slices.DeleteFunc(c.Events, func(*wire.Event) bool { l.count++; return l.count%5 == 0 })
		}
		return frames{f}
	}}},
	{"an unknown kind of frame has no answer", "2.2", dropping(func(f *wire.ServerFrame) bool { return f.GetError() != nil })},
	{"the connection ends without bye", "2.2,2.4,2.25,2.26", dropping(func(f *wire.ServerFrame) bool { return f.GetBye() != nil })},
	{"bye has another reason", "2.2,2.4,2.25,2.26", changing(func(f *wire.ServerFrame) {
		if b := f.GetBye(); b != nil {
			b.Reason = wire.ByeReason_SHUTDOWN
		}
	})},
	{"a frame comes after bye", "2.4,2.25", fault{frame: func(_ *link, f *wire.ServerFrame) frames {
		if f.GetBye() != nil {
			return frames{f, {Frame: &wire.ServerFrame_Pong{Pong: &wire.Pong{}}}}
		}
		return frames{f}
	}}},
	{"every connection is closed with 1000", "2.2,2.4,2.25,2.26", fault{close: func(ws.StatusCode) ws.StatusCode { return ws.StatusNormalClosure }}},
	{"welcome reports no limit of bodies", "2.3", changing(func(f *wire.ServerFrame) {
		if l := f.GetWelcome().GetLimits(); l != nil {
			l.BodyBytesMax = 0
		}
	})},
	{"conversations come in another order", "2.5", fault{frame: func(l *link, f *wire.ServerFrame) frames {
		if d := f.GetDelta(); d != nil && !l.synced {
			slices.Reverse(d.Conversations)
		}
		return frames{f}
	}}},
	{"tails are one event shorter", "2.5", deltas(func(c *wire.ConversationDelta) {
		if len(c.GetEvents()) > 1 {
			c.Events = c.Events[1:]
		}
	})},
	{"cursors are forgotten", "2.5,2.7,2.13", fault{client: func(f *wire.ClientFrame) *wire.ClientFrame {
		if h := f.GetHello(); h != nil {
			h.Cursor = nil
		}
		return f
	}}},
	{"checkpoints are left out", "2.6", changing(func(f *wire.ServerFrame) {
		if d := f.GetDelta(); d != nil {
			d.Checkpoints = nil
		}
	})},
	{"checkpoints come before what they cover", "2.6", fault{frame: func(_ *link, f *wire.ServerFrame) frames {
		d := f.GetDelta()
		if len(d.GetConversations()) == 0 || len(d.GetCheckpoints()) == 0 {
			return frames{f}
		}
		early := &wire.Delta{Checkpoints: d.Checkpoints, Live: d.Live}
		d.Checkpoints = nil
		return frames{{Frame: &wire.ServerFrame_Delta{Delta: early}}, f}
	}}},
	{"synced.cursor says too little", "2.7", changing(func(f *wire.ServerFrame) {
		for partition := range f.GetSynced().GetCursor().GetPositions() {
			f.GetSynced().Cursor.Positions[partition] = 0
		}
	})},
	{"a gap has no prevDigest", "2.8", deltas(func(c *wire.ConversationDelta) { c.PrevDigest = nil })},
	{"prevDigest is wrong", "2.8", deltas(func(c *wire.ConversationDelta) { flip(c.GetPrevDigest()) })},
	{"headDigest is wrong", "2.10", deltas(func(c *wire.ConversationDelta) { flip(c.GetHeadDigest()) })},
	{"headDigest is left out live", "2.10", changing(func(f *wire.ServerFrame) {
		for _, c := range f.GetDelta().GetConversations() {
			if f.GetDelta().GetLive() {
				c.HeadDigest = nil
			}
		}
	})},
	{"a conversation is in a delta twice", "2.10", changing(func(f *wire.ServerFrame) {
		if d := f.GetDelta(); len(d.GetConversations()) == 1 {
			d.Conversations = append(d.Conversations, &wire.ConversationDelta{Id: d.Conversations[0].Id, HeadDigest: d.Conversations[0].HeadDigest, HeadSeq: d.Conversations[0].HeadSeq})
		}
	})},
	{"removed is not told", "2.11", deltas(func(c *wire.ConversationDelta) { c.Removed = false })},
	{"a reset is not told", "2.12", changing(func(f *wire.ServerFrame) {
		if w := f.GetWelcome(); w != nil {
			w.Reset_ = nil
		}
	})},
	{"a reset has another reason", "2.12", changing(func(f *wire.ServerFrame) {
		if r := f.GetWelcome().GetReset_(); r != nil {
			r.Reason = wire.ResetReason_EPOCH
		}
	})},
	{"acks are lost", "2.13", fault{client: func(f *wire.ClientFrame) *wire.ClientFrame {
		if f.GetAck() != nil {
			return nil
		}
		return f
	}}},

	{"submitted carries another request", "2.14", changing(func(f *wire.ServerFrame) {
		if s := f.GetSubmitted(); s != nil {
			s.Request += 1000
		}
	})},
	{"submitted has a wrong digest", "2.14", changing(func(f *wire.ServerFrame) { flip(f.GetSubmitted().GetDigest()) })},
	{"submitted has a wrong salt", "2.14", changing(func(f *wire.ServerFrame) { flip(f.GetSubmitted().GetSalt()) })},
	{"what is submitted is not kept", "2.14", changing(func(f *wire.ServerFrame) {
		if p := f.GetFetched(); p != nil {
			p.Events = nil
		}
	})},
	{"a duplicate is not told", "2.15", changing(func(f *wire.ServerFrame) {
		if s := f.GetSubmitted(); s != nil {
			s.Duplicate = false
		}
	})},
	{"a duplicate is written anew", "2.15", fault{client: func(f *wire.ClientFrame) *wire.ClientFrame {
		if s := f.GetSubmit(); s.GetClientId() == "once" {
			s.ClientId += time.Now().Format(".000000000")
		}
		return f
	}}},
	{"a duplicate over HTTP has another seq", "2.15", fault{answer: func(path string, status int, body []byte) (int, []byte) {
		if strings.HasSuffix(path, "/Submit") && bytes.Contains(body, []byte(`"duplicate":true`)) {
			body = bytes.ReplaceAll(body, []byte(`"seq":"2"`), []byte(`"seq":"7"`))
		}
		return status, body
	}}},
	{"answers come after later deltas", "2.16", fault{frame: func(l *link, f *wire.ServerFrame) frames {
		switch {
		case f.GetSubmitted() != nil && len(l.held) == 0:
			l.held = frames{f}
			return nil
		case len(f.GetDelta().GetConversations()) > 0 && len(l.held) > 0 || f.GetSubmitted() != nil && l.count > 20:
			out := append(frames{f}, l.held...)
			l.held, l.count = nil, 0
			return out
		case len(l.held) > 0:
			l.count++
		}
		return frames{f}
	}}},
	{"deltas come after later answers", "2.16", fault{frame: func(l *link, f *wire.ServerFrame) frames {
		switch {
		case len(f.GetDelta().GetConversations()) > 0 && f.GetDelta().GetLive() && len(l.held) == 0:
			l.held = frames{f}
			return nil
		case f.GetDelta() == nil && l.count < 20:
			l.count++
			return frames{f}
		}
		out := append(frames{f}, l.held...)
		l.held, l.count = nil, 0
		return out
	}}},
	{"counts after a recall are not told", "2.16", deltas(func(c *wire.ConversationDelta) { c.Unread = nil })},
	{"submits change places", "2.17", fault{frame: func(l *link, f *wire.ServerFrame) frames {
		if f.GetSubmitted() == nil {
			return frames{f}
		}
		if len(l.held) == 0 {
			l.held = frames{f}
			return nil
		}
		first := l.held[0]
		l.held = nil
		first.GetSubmitted().Request, f.GetSubmitted().Request = f.GetSubmitted().Request, first.GetSubmitted().Request
		return frames{first, f}
	}}},
	{"seen is not looked at", "2.18", fault{client: func(f *wire.ClientFrame) *wire.ClientFrame {
		if s := f.GetSubmit(); s != nil {
			s.Seen = nil
		}
		return f
	}}},
	{"a silent message is counted", "2.19", deltas(func(c *wire.ConversationDelta) {
		if c.Unread != nil {
			*c.Unread += uint64(len(c.GetEvents()))
		}
	})},
	{"signals are lost", "2.19,2.20", dropping(func(f *wire.ServerFrame) bool { return f.GetSignal() != nil })},
	{"a transient message has a seq", "2.19", changing(func(f *wire.ServerFrame) {
		if s := f.GetSubmitted(); s.GetSeq() == 0 && s != nil {
			s.Seq = 9
		}
	})},
	{"the read mark falls", "2.20", replacing("MessageService/Read", `"readSeq":"4"`, `"readSeq":"2"`)},
	{"a mark past the head is taken", "2.20", dropping(func(f *wire.ServerFrame) bool { return f.GetError() != nil })},
	{"the window of edits is not kept", "2.52", errorsBy(func(e *wire.Error) {
		if e.Reason == wire.Reason_EDIT_WINDOW_OVER {
			e.Reason = wire.Reason_NOT_ALLOWED
		}
	})},

	{"pages come in descending order", "2.21", changing(func(f *wire.ServerFrame) { slices.Reverse(f.GetFetched().GetEvents()) })},
	{"a page misses its last event", "2.21,3.1", changing(func(f *wire.ServerFrame) {
		if p := f.GetFetched(); len(p.GetEvents()) > 1 {
			p.Events = p.Events[:len(p.Events)-1]
		}
	})},
	{"a page's prevDigest is wrong", "2.22", changing(func(f *wire.ServerFrame) { flip(f.GetFetched().GetPrevDigest()) })},
	{"a page always has more", "2.22", changing(func(f *wire.ServerFrame) {
		if p := f.GetFetched(); p != nil {
			p.HasMore = true
		}
	})},
	{"a page has no floor", "2.22", changing(func(f *wire.ServerFrame) {
		if p := f.GetFetched(); p != nil {
			p.FloorSeq = 0
		}
	})},
	{"edits are not told", "2.23", events(func(e *wire.Event) { e.Edited = 0 })},
	{"reactions are not told", "2.23", events(func(e *wire.Event) { e.Reactions = nil })},
	{"what was recalled shows its body", "2.23", events(func(e *wire.Event) {
		if e.GetRecalled() > 0 || e.GetErased() > 0 {
			e.Body = wire.MarshalBody(&wire.Body{Body: &wire.Body_Message{Message: textMessage("secret")}})
		}
	})},
	{"an edited event has no bodyHash", "2.24", events(func(e *wire.Event) { e.BodyHash = nil })},
	{"the kind of what was hashed is wrong", "2.24", events(func(e *wire.Event) {
		if e.GetKind() != 0 {
			e.Kind++
		}
	})},

	{"an event's time is changed", "3.1", events(func(e *wire.Event) { e.TimeMs++ })},
	{"an event's sender is changed", "3.1", events(func(e *wire.Event) { e.Sender += "x" })},
	{"an event's salt is changed", "3.1", events(func(e *wire.Event) { flip(e.GetSalt()) })},
	{"the hash of what was erased is lost", "3.2", events(func(e *wire.Event) {
		if e.GetErased() > 0 {
			flip(e.GetBodyHash())
		}
	})},
	{"what was erased keeps its salt", "3.2", events(func(e *wire.Event) {
		if e.GetErased() > 0 {
			e.Salt = make([]byte, 8)
		}
	})},
	{"Verify answers for another seq", "3.4", replacing("SyncService/Verify", `"seq":"4"`, `"seq":"5"`)},
	{"Verify has no digest", "3.4", replacing("SyncService/Verify", `"digest":"`, `"unknown":"`)},

	{"the seal of a fetched head is another", "3.5", changing(func(f *wire.ServerFrame) { flip(f.GetFetched().GetHeadSeal()) })},
	{"headDigest comes without its seal", "3.5", deltas(func(c *wire.ConversationDelta) { c.HeadSeal = nil })},

	{"errors have another code", "4.1", replacing("", `"code":"not_found"`, `"code":"unknown"`)},
	{"messages do not begin with the reason", "4.1", replacing("", `"message":"`, `"message":"oh: `)},
	{"errors have another status", "4.1", fault{answer: func(_ string, status int, body []byte) (int, []byte) {
		if status == http.StatusConflict {
			status = http.StatusBadRequest
		}
		return status, body
	}}},
	{"error frames have no code", "4.1", errorsBy(func(e *wire.Error) { e.Code = "" })},
	{"strangers read history", "4.2", fault{answer: func(path string, status int, body []byte) (int, []byte) {
		if strings.HasSuffix(path, "MessageService/Pins") && status == http.StatusForbidden {
			return http.StatusOK, []byte("{}")
		}
		return status, body
	}}},
	{"strangers learn that there is a direct conversation", "4.2", fault{answer: func(path string, status int, body []byte) (int, []byte) {
		if strings.HasSuffix(path, "MessageService/Hours") && status == http.StatusNotFound {
			return http.StatusOK, []byte("{}")
		}
		return status, body
	}}},
	{"visibleFrom is wrong", "4.3", deltas(func(c *wire.ConversationDelta) {
		if c.GetSelf() != nil {
			c.Self.VisibleFrom = 1
		}
	})},
	{"a hidden edit is shown", "4.3", events(func(e *wire.Event) { e.Hidden = false })},
	{"members are told each other's marks in a channel", "4.4", fault{answer: func(path string, status int, body []byte) (int, []byte) {
		if strings.HasSuffix(path, "/ListMembers") {
			body = bytes.ReplaceAll(body, []byte(`"joinedSeq":"1"`), []byte(`"joinedSeq":"1","deliveredSeq":"2"`))
		}
		return status, body
	}}},
	{"a taken id is not told", "4.5", fault{answer: func(path string, status int, body []byte) (int, []byte) {
		if status == http.StatusConflict {
			return http.StatusOK, []byte("{}")
		}
		return status, body
	}}},
}

func TestTheKitNoticesWhatIsWrong(t *testing.T) {
	url, key := serve(t, nil)
	noticed := map[string]bool{}
	t.Run("rows", func(t *testing.T) {
		for _, row := range slices.Concat(spoils, spoilsOfGroups, spoilsOfForms, spoilsOfServices) {
			for statement := range strings.SplitSeq(row.noticing, ",") {
				noticed[statement] = true
			}
			t.Run(row.name, func(t *testing.T) {
				t.Parallel() // it mostly waits for what does not come
				only := strings.Split(row.noticing, ",")
				kit, err := New(t.Context(), Config{URL: spoiling(t, url, row.fault), AdminKey: key, Only: only, Timeout: 2 * time.Second, Patience: 5 * time.Second})
				if err != nil {
					t.Fatal(err)
				}
				failed := map[string]int{}
				for _, r := range kit.Run(t.Context(), nil) {
					if r.Outcome == Failed {
						failed[r.Statement]++
						if testing.Verbose() {
							t.Logf("[%s] expected %s; seen %.200s", r.Statement, r.Expected, r.Seen)
						}
					}
				}
				for _, statement := range only {
					if failed[statement] == 0 {
						t.Errorf("no check of [%s] notices", statement)
					}
				}
			})
		}
	})
	if len(noticed) < 100 {
		t.Errorf("only %d statements are spoiled", len(noticed))
	}
}

// TestAnHonestProxyIsNotNoticed: what the rows show is the fault's, not the proxy's.
func TestAnHonestProxyIsNotNoticed(t *testing.T) {
	url, key := serve(t, nil)
	honest := fault{
		frame:  func(_ *link, f *wire.ServerFrame) frames { return frames{f} },
		client: func(f *wire.ClientFrame) *wire.ClientFrame { return f },
	}
	only := []string{"1.2", "1.7", "1.8", "2.4", "2.5", "2.6", "2.7", "2.9", "2.10", "2.12", "2.14", "2.15", "2.16", "2.17", "2.20", "2.22", "2.23",
		"2.28", "2.29", "2.30", "2.31", "2.32", "2.33", "2.34",
		"2.40", "2.41", "2.42", "2.43", "2.44", "2.45", "2.46", "2.47", "2.48", "2.49", "2.50", "2.51",
		"2.60", "2.61", "2.62", "2.63", "2.64", "2.65", "2.66", "2.67", "2.68", "3", "4", "5"}
	kit, err := New(t.Context(), Config{URL: spoiling(t, url, honest), AdminKey: key, Only: only, Timeout: 30 * time.Second, Patience: 100 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range kit.Run(t.Context(), nil) {
		if r.Outcome == Failed {
			t.Errorf("[%s] %s\nexpected %s\nseen     %s", r.Statement, r.What, r.Expected, r.Seen)
		}
	}
}
