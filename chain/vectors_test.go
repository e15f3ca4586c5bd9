// SPDX-License-Identifier: Apache-2.0

// The vectors of testdata/vectors: examples of the chain that implementations in every language run. This test checks
// them against this package, and with -update writes them anew from the inputs below.

package chain_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chain"
	"github.com/tidemark-im/tidemark/wire"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

var update = flag.Bool("update", false, "write testdata/vectors anew")

const vectorsDir = "../testdata/vectors"

// vector is one file: a log, or part of one, and its chain. testdata/vectors/README.md tells what the fields mean.
type vector struct {
	About        string        `json:"about"`
	Conversation string        `json:"conversation"`
	Start        string        `json:"start"`
	Events       []vectorEvent `json:"events"`
}

type vectorEvent struct {
	Seq      uint64          `json:"seq,string"`
	ID       uint64          `json:"id,string"`
	TimeMs   uint64          `json:"timeMs,string"`
	Sender   string          `json:"sender"`
	ClientID string          `json:"clientId"`
	Kind     uint8           `json:"kind"`
	BodyJSON json.RawMessage `json:"bodyJson,omitempty"`
	Body     []byte          `json:"body,omitempty"`
	Salt     string          `json:"salt,omitempty"`
	BodyHash string          `json:"bodyHash"`
	Hashed   string          `json:"hashed"`
	Digest   string          `json:"digest"`
}

func TestVectors(t *testing.T) {
	want := vectors(t)
	if *update {
		for name, v := range want {
			data, err := json.MarshalIndent(v, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(vectorsDir, name+".json"), append(data, '\n'), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	files, err := filepath.Glob(filepath.Join(vectorsDir, "*.json"))
	if err != nil || len(files) != len(want) {
		t.Fatalf("%d files of vectors (%v), %d are expected: run with -update", len(files), err, len(want))
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var v vector
			if err := json.Unmarshal(data, &v); err != nil {
				t.Fatal(err)
			}
			runVector(t, v)
			if expected, err := json.MarshalIndent(want[name], "", "  "); err != nil || !bytes.Equal(append(expected, '\n'), data) {
				t.Errorf("%s is not what -update would write (%v)", file, err)
			}
		})
	}
}

// runVector does what any implementation must do with a vector: compute the chain from the inputs alone.
func runVector(t *testing.T, v vector) {
	prev := chain.Start(tidemark.ConversationID(v.Conversation))
	if prev.String() != v.Start {
		t.Fatalf("start: got %s, want %s", prev, v.Start)
	}
	for _, e := range v.Events {
		hash := tidemark.Digest(unhex(t, e.BodyHash))
		if e.Salt != "" {
			if got := chain.BodyHash([8]byte(unhex(t, e.Salt)), e.Body); got != hash {
				t.Fatalf("event %d: body hash: got %s, want %s", e.Seq, got, hash)
			}
		}
		if got := hex.EncodeToString(hashed(prev, e, hash)); got != e.Hashed {
			t.Fatalf("event %d: hashed bytes: got %s, want %s", e.Seq, got, e.Hashed)
		}
		prev = chain.Next(prev, link(e, hash))
		if prev.String() != e.Digest {
			t.Fatalf("event %d: digest: got %s, want %s", e.Seq, prev, e.Digest)
		}
		if e.BodyJSON != nil {
			checkBody(t, e)
		}
	}
}

// checkBody compares the readable body with the serialised one.
func checkBody(t *testing.T, e vectorEvent) {
	var fromJSON, fromBytes wire.Body
	if err := protojson.Unmarshal(e.BodyJSON, &fromJSON); err != nil {
		t.Fatal(err)
	}
	if err := fromBytes.UnmarshalVT(e.Body); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(&fromJSON, &fromBytes) {
		t.Errorf("event %d: body %v and readable body %v differ", e.Seq, &fromBytes, &fromJSON)
	}
	kind := fromBytes.ProtoReflect().WhichOneof(fromBytes.ProtoReflect().Descriptor().Oneofs().Get(0)).Number()
	if uint8(kind) != e.Kind {
		t.Errorf("event %d: kind %d, the body is of kind %d", e.Seq, e.Kind, kind)
	}
}

func unhex(t *testing.T, s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// log builds a vector event by event.
type log struct {
	t    *testing.T
	v    vector
	prev tidemark.Digest
}

func newLog(t *testing.T, conversation, about string) *log {
	start := chain.Start(tidemark.ConversationID(conversation))
	return &log{t: t, prev: start, v: vector{
		About: about, Conversation: conversation, Start: start.String(), Events: []vectorEvent{},
	}}
}

// add appends an event whose seq, id, time and salt follow from how many there are.
func (l *log) add(sender, clientID string, body *wire.Body) {
	n := uint64(len(l.v.Events) + 1)
	l.addEvent(vectorEvent{
		Seq: n, ID: 814_379_486_416_076_800 + n<<22, TimeMs: 1_772_000_000_000 + n, Sender: sender, ClientID: clientID,
	}, body)
}

func (l *log) addEvent(e vectorEvent, body *wire.Body) {
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(body)
	if err != nil {
		l.t.Fatal(err)
	}
	readable, err := protojson.Marshal(body)
	if err != nil {
		l.t.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, readable); err != nil {
		l.t.Fatal(err)
	}
	salt := [8]byte{0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, byte(len(l.v.Events) + 1)}
	hash := chain.BodyHash(salt, data)
	e.Kind = uint8(body.ProtoReflect().WhichOneof(body.ProtoReflect().Descriptor().Oneofs().Get(0)).Number())
	e.BodyJSON, e.Body, e.Salt, e.BodyHash = compact.Bytes(), data, hex.EncodeToString(salt[:]), hash.String()
	e.Hashed = hex.EncodeToString(hashed(l.prev, e, hash))
	l.prev = chain.Next(l.prev, link(e, hash))
	e.Digest = l.prev.String()
	l.v.Events = append(l.v.Events, e)
}

func message(text string) *wire.Body {
	return &wire.Body{Body: &wire.Body_Message{Message: &wire.Message{Type: "text", Text: text}}}
}

// vectors are the inputs, by the name of their file.
func vectors(t *testing.T) map[string]vector {
	all := make(map[string]vector)
	keep := func(name string, l *log) { all[name] = l.v }

	keep("start", newLog(t, "team", "An empty conversation: h(0) is the hash of a prefix and the id."))
	keep("start_direct", newLog(t, "alice~bob", "An empty direct conversation."))

	l := newLog(t, "alice~bob", "Two messages: the first has a client id, the second has none.")
	l.add("alice", "c1", message("hello"))
	l.add("bob", "", message("hi"))
	keep("message", l)

	l = newLog(t, "team", "One event of each kind, every field of a message in use.")
	everyKind(l)
	keep("every_kind", l)

	l = newLog(t, "team", "An erased message: salt and body are gone, the hash of the body remains, and the chain is "+
		"the same as it was with them. The edit of the erased message is erased with it.")
	l.add("alice", "c1", message("my address is 5 Mill Lane"))
	l.add("alice", "c2", &wire.Body{Body: &wire.Body_Edit{Edit: &wire.Edit{Seq: 1, Message: message("7 Mill Lane").GetMessage()}}})
	l.add("alice", "", &wire.Body{Body: &wire.Body_Erased{Erased: &wire.Erased{Seq: 1}}})
	for i := range l.v.Events[:2] {
		e := &l.v.Events[i]
		e.Salt, e.Body, e.BodyJSON = "", nil, nil
	}
	keep("erased", l)

	l = newLog(t, "größe", "Ids count as their UTF-8 bytes, in the chain and in the two-byte lengths before them. (A server "+
		"takes only ASCII ids; the chain does not care.)")
	l.add("Zoë", "消息-1", message("你好 \U0001F44B e\u0301"))
	l.add(strings.Repeat("ü", 32), strings.Repeat("z", 64), message(""))
	keep("unicode", l)

	l = newLog(t, "team", "Bodies around the sizes at which implementations change their ways.")
	for _, size := range []int{0, 118, 119, 247, 248, 249, 5000} {
		l.add("alice", "", message(strings.Repeat("x", size)))
	}
	keep("long_body", l)

	l = newLog(t, "team", "The greatest integers: 64 bits, unsigned, big-endian. Not a log that a server would write.")
	l.addEvent(vectorEvent{Seq: 1 << 53, ID: 1<<53 + 1, TimeMs: 1<<63 + 1, Sender: "alice"}, message("past what a double holds"))
	l.addEvent(vectorEvent{Seq: math.MaxUint64, ID: math.MaxUint64, TimeMs: math.MaxUint64, Sender: "alice"}, message("last"))
	keep("integers", l)
	return all
}

func everyKind(l *log) {
	title, avatar := "Team", "https://example.org/team.png"
	info := &wire.Info{Title: &title, Kind: wire.Kind_GROUP, Settings: &wire.Settings{Join: wire.JoinPolicy_OPEN}}
	full := &wire.Message{
		Type: "text", Text: "see @bob", Data: []byte{0, 1, 254, 255}, Mentions: []string{"bob", "carol"}, MentionAll: true,
		ReplyTo: 1, Thread: 300, Class: wire.MessageClass_SILENT,
	}
	l.add("system", "", &wire.Body{Body: &wire.Body_Members{Members: &wire.Members{
		Added: []string{"alice", "bob"}, Created: info,
		Roles: map[string]wire.Role{"alice": wire.Role_OWNER, "bob": wire.Role_ADMIN},
	}}})
	l.add("alice", "c1", &wire.Body{Body: &wire.Body_Message{Message: full}})
	l.add("alice", "c2", &wire.Body{Body: &wire.Body_Edit{Edit: &wire.Edit{Seq: 2, Message: message("hello").GetMessage()}}})
	l.add("bob", "c1", &wire.Body{Body: &wire.Body_Reaction{Reaction: &wire.Reaction{Seq: 2, Key: "👍"}}})
	l.add("bob", "c2", &wire.Body{Body: &wire.Body_Pin{Pin: &wire.Pin{Seq: 2}}})
	l.add("alice", "c3", &wire.Body{Body: &wire.Body_Recall{Recall: &wire.Recall{Seq: 2, Reason: "wrong group"}}})
	l.add("alice", "", &wire.Body{Body: &wire.Body_Info{Info: &wire.Info{
		Avatar: &avatar, Custom: map[string]string{"b": "2", "a": "1", "c": ""},
	}}})
	l.add("alice", "", &wire.Body{Body: &wire.Body_Members{Members: &wire.Members{Removed: []string{"bob"}}}})
	l.add("system", "", &wire.Body{Body: &wire.Body_Erased{Erased: &wire.Erased{Seq: 300}}})
}

func TestVectorsCoverEveryKind(t *testing.T) {
	kinds := make(map[uint8]bool)
	for _, e := range vectors(t)["every_kind"].Events {
		kinds[e.Kind] = true
	}
	fields := (&wire.Body{}).ProtoReflect().Descriptor().Fields()
	want := make(map[uint8]bool)
	for i := range fields.Len() {
		want[uint8(fields.Get(i).Number())] = true
	}
	if !reflect.DeepEqual(kinds, want) {
		t.Errorf("kinds with a vector: %v, kinds: %v", kinds, want)
	}
}
