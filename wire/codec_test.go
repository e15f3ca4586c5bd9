// SPDX-License-Identifier: Apache-2.0

// The codec: what is a frame, what is malformed, what is merely not known; and that bodies have one serialisation.

package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	tidemark "github.com/tidemark-im/tidemark"
)

func TestFormats(t *testing.T) {
	for _, f := range []Format{Proto, JSON} {
		got, ok := FormatOf(f.Subprotocol())
		if !ok || got != f {
			t.Errorf("FormatOf(%q) = %v, %v", f.Subprotocol(), got, ok)
		}
	}
	if _, ok := FormatOf("mqtt"); ok {
		t.Error("mqtt is not ours")
	}
}

// field is one length-delimited protobuf field.
func field(number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), value)
}

func TestDecodeClientFrame(t *testing.T) {
	const good, unknown, malformed = "good", "unknown", "malformed"
	request := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 7)
	ping := field(10, request)
	cases := []struct {
		name    string
		format  Format
		data    string
		want    string
		request uint64
	}{
		{"ping", Proto, string(ping), good, 0},
		{"a known frame and an unknown field beside it", Proto, string(ping) + string(field(99, nil)), good, 0},
		{"an unknown field inside a known frame", Proto, string(field(10, append(request, field(50, []byte("x"))...))), good, 0},
		{"empty", Proto, "", malformed, 0},
		{"half a tag", Proto, "\xff", malformed, 0},
		{"length beyond the end", Proto, "\x52\x7f", malformed, 0},
		{"wrong wire type", Proto, "\x50\x01", malformed, 0},
		{"end of a group never begun", Proto, "\x0c", malformed, 0},
		{"field number zero", Proto, "\x02\x00", malformed, 0},
		{"unknown kind with a request", Proto, string(field(77, request)), unknown, 7},
		{"unknown kind without a request", Proto, string(field(77, []byte("text"))), unknown, 0},
		{"unknown kind as a number", Proto, "\xe8\x04\x05", unknown, 0},
		{"text that is not UTF-8", Proto, string(field(4, field(1, []byte("\xff")))), malformed, 0},
		{"unknown field in a message that nobody could read", Proto, string(field(2, field(5, []byte("\xfa\xff\xff\xff\x7f\x00")))), malformed, 0},

		{"ping", JSON, `{"ping":{"request":"7"}}`, good, 0},
		{"a known frame and an unknown member beside it", JSON, `{"ping":{},"hint":1}`, good, 0},
		{"an unknown member inside a known frame", JSON, `{"ping":{"request":7,"loud":true}}`, good, 0},
		{"empty", JSON, ``, malformed, 0},
		{"empty object", JSON, `{}`, malformed, 0},
		{"null frame", JSON, `{"ping":null}`, malformed, 0},
		{"an array", JSON, `[]`, malformed, 0},
		{"two frames", JSON, `{"ping":{},"hello":{}}`, malformed, 0},
		{"two messages", JSON, `{"ping":{}}{"ping":{}}`, malformed, 0},
		{"negative request", JSON, `{"ping":{"request":-1}}`, malformed, 0},
		{"request past 64 bits", JSON, `{"ping":{"request":"18446744073709551616"}}`, malformed, 0},
		{"two actions", JSON, `{"submit":{"message":{},"pin":{}}}`, malformed, 0},
		{"not UTF-8", JSON, "{\"read\":{\"conversation\":\"\xff\"}}", malformed, 0},
		{"half a surrogate", JSON, `{"read":{"conversation":"\ud800"}}`, malformed, 0},
		{"deep nonsense", JSON, strings.Repeat(`{"ping":`, 20_000) + strings.Repeat("}", 20_000), malformed, 0},
		{"unknown kind with a request", JSON, `{"dance":{"request":"7"}}`, unknown, 7},
		{"unknown kind with a number as request", JSON, `{"dance":{"request":7}}`, unknown, 7},
		{"unknown kind without a request", JSON, `{"dance":[1,2]}`, unknown, 0},
		{"unknown kind with a foolish request", JSON, `{"dance":{"request":"x"}}`, unknown, 0},
	}
	for _, c := range cases {
		t.Run(c.format.Subprotocol()+"/"+c.name, func(t *testing.T) {
			frame, err := DecodeClientFrame(c.format, []byte(c.data))
			var kind *UnknownKindError
			switch {
			case c.want == good && (err != nil || frame.GetFrame() == nil):
				t.Fatalf("got %v, %v", frame, err)
			case c.want == malformed && (err == nil || errors.Is(err, ErrUnknownKind)):
				t.Fatalf("want malformed, got %v, %v", frame, err)
			case c.want == unknown && (!errors.Is(err, ErrUnknownKind) || !errors.As(err, &kind)):
				t.Fatalf("want an unknown kind, got %v, %v", frame, err)
			case c.want == unknown && (kind.Request != c.request || kind.Kind == ""):
				t.Fatalf("got %+v, want request %d", kind, c.request)
			}
		})
	}
}

// TestEveryStringIsChecked puts bytes that are not UTF-8 into each string that a client can send, one at a time.
func TestEveryStringIsChecked(t *testing.T) {
	n := 0
	eachString((&ClientFrame{}).ProtoReflect().Descriptor(), nil, func(path []protoreflect.FieldDescriptor) {
		data := []byte("\xc3\x28")
		name := ""
		for i := len(path) - 1; i >= 0; i-- {
			data = field(path[i].Number(), data)
			name = string(path[i].Name()) + " " + name
		}
		n++
		if _, err := DecodeClientFrame(Proto, data); err == nil {
			t.Errorf("%s: not checked", name)
		}
	})
	if n < 15 {
		t.Errorf("only %d strings found: the walk is wrong", n)
	}
}

func eachString(m protoreflect.MessageDescriptor, path []protoreflect.FieldDescriptor, fn func([]protoreflect.FieldDescriptor)) {
	for i := range m.Fields().Len() {
		fd := m.Fields().Get(i)
		here := append(path[:len(path):len(path)], fd)
		switch {
		case fd.Kind() == protoreflect.StringKind:
			fn(here)
		case fd.Kind() == protoreflect.MessageKind: // a map is a message of key and value
			eachString(fd.Message(), here, fn)
		}
	}
}

func bodies() []*Body {
	message := &Message{Type: "text", Text: "hello", Data: []byte{1, 2}, Mentions: []string{"bob", "carol"}, MentionAll: true,
		ReplyTo: 4, Thread: 2, Class: MessageClass_SILENT}
	title := "Team"
	return []*Body{
		{Body: &Body_Message{Message: message}},
		{Body: &Body_Edit{Edit: &Edit{Seq: 3, Message: message}}},
		{Body: &Body_Recall{Recall: &Recall{Seq: 3, Reason: "oops"}}},
		{Body: &Body_Reaction{Reaction: &Reaction{Seq: 3, Key: "👍", Removed: true}}},
		{Body: &Body_Pin{Pin: &Pin{Seq: 3}}},
		{Body: &Body_Members{Members: &Members{Added: []string{"a", "b", "c"}, Removed: []string{"d"},
			Roles:   map[string]Role{"a": Role_OWNER, "b": Role_ADMIN, "c": Role_ADMIN, "x": Role_MEMBER},
			Created: &Info{Title: &title, Custom: map[string]string{"k": "v", "l": "w", "m": "x"}, Kind: Kind_GROUP}}}},
		{Body: &Body_Info{Info: &Info{Title: &title, Custom: map[string]string{"k": "v", "l": "w", "m": "x"}}}},
		{Body: &Body_Erased{Erased: &Erased{Seq: 9}}},
	}
}

func TestMarshalBodyIsDeterministic(t *testing.T) {
	for i, b := range bodies() {
		if int(BodyKind(b)) != i+1 {
			t.Errorf("kind of body %d is %d", i+1, BodyKind(b))
		}
		want, err := proto.MarshalOptions{Deterministic: true}.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			if got := MarshalBody(b); !bytes.Equal(got, want) {
				t.Fatalf("body %d: %x, want %x", i+1, got, want)
			}
		}
		again := &Body{}
		if err := again.UnmarshalVT(want); err != nil || !proto.Equal(b, again) {
			t.Errorf("body %d does not come back: %v", i+1, err)
		}
	}
	if BodyKind(nil) != 0 || BodyKind(&Body{}) != 0 || len(MarshalBody(nil)) != 0 {
		t.Error("an absent body has kind 0 and no bytes")
	}
}

// TestMarshalBodyKeepsUnknownFields: a newer client's fields are hashed and passed on as they came.
func TestMarshalBodyKeepsUnknownFields(t *testing.T) {
	message := append(field(2, []byte("hi")), field(90, []byte("newer"))...)
	frame, err := DecodeClientFrame(Proto, field(2, field(5, message)))
	if err != nil {
		t.Fatal(err)
	}
	body := &Body{Body: &Body_Message{Message: frame.GetSubmit().GetMessage()}}
	if got, want := MarshalBody(body), field(1, message); !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
}

func TestServerFrameInJSONIsReadable(t *testing.T) {
	body := MarshalBody(bodies()[0])
	salt := []byte{1, 2, 3, 4, 5, 6, 7, 8}
	event := &Event{Seq: 42, Id: 9, Sender: "alice", Salt: salt, Body: body}
	edited := &Event{Seq: 43, Body: body, BodyHash: bytes.Repeat([]byte{7}, 32), Kind: 1, Edited: 50}
	frame := &ServerFrame{Frame: &ServerFrame_Delta{Delta: &Delta{Live: true,
		Conversations: []*ConversationDelta{{Id: "team", Events: []*Event{event, edited}}}}}}
	before := proto.Clone(frame)
	data, err := AppendServerFrame([]byte("x"), JSON, frame)
	if err != nil || data[0] != 'x' {
		t.Fatal(err)
	}
	if !proto.Equal(before, frame) {
		t.Error("a shared frame was changed")
	}
	var back struct {
		Delta struct {
			Conversations []struct{ Events []map[string]any }
		}
	}
	if err := json.Unmarshal(data[1:], &back); err != nil {
		t.Fatal(err)
	}
	events := back.Delta.Conversations[0].Events
	text := events[0]["body"].(map[string]any)["message"].(map[string]any)["text"]
	if text != "hello" || events[0]["kind"] != 1.0 || len(events[0]["bodyHash"].(string)) != 44 {
		t.Errorf("not readable: %s", data)
	}
	if events[0]["salt"] != nil || events[0]["bodyBytes"] != nil {
		t.Errorf("bytes left over: %s", data)
	}
	if !strings.HasPrefix(events[1]["bodyHash"].(string), "BwcH") {
		t.Errorf("the hash of the original is kept: %s", data)
	}
	if decoded, err := DecodeServerFrame(JSON, data[1:]); err != nil || decoded.GetDelta().Conversations[0].Events[0].BodyJson == nil {
		t.Errorf("does not come back: %v %v", decoded, err)
	}
}

// TestReadableCopiesEverything fills every field of each message that readable forms copy by hand.
func TestReadableCopiesEverything(t *testing.T) {
	delta, fetched, pull := &Delta{}, &Fetched{}, &PullResponse{}
	fill(delta.ProtoReflect(), 0)
	fill(fetched.ProtoReflect(), 0)
	fill(pull.ProtoReflect(), 0)
	for _, frame := range []*ServerFrame{
		{Frame: &ServerFrame_Delta{Delta: delta}},
		{Frame: &ServerFrame_Fetched{Fetched: fetched}},
	} {
		got, inPlace := readableFrame(frame), proto.Clone(frame)
		Readable(inPlace)
		if !proto.Equal(got, inPlace) {
			t.Errorf("the copy and the change in place differ:\n%v\n%v", got, inPlace)
		}
		withoutBytes(frame.ProtoReflect())
		withoutBytes(got.ProtoReflect())
		if !proto.Equal(got, frame) {
			t.Errorf("a field was lost:\n got %v\nwant %v", got, frame)
		}
	}
}

// fill sets every field of a message, lists and maps with one entry.
func fill(m protoreflect.Message, depth int) {
	for i := range m.Descriptor().Fields().Len() {
		fd := m.Descriptor().Fields().Get(i)
		switch {
		case fd.IsMap():
			if fd.MapValue().Kind() == protoreflect.StringKind {
				m.Mutable(fd).Map().Set(protoreflect.ValueOf("k").MapKey(), protoreflect.ValueOf("v"))
			}
		case fd.Kind() == protoreflect.MessageKind && depth > 5:
		case fd.IsList() && fd.Kind() == protoreflect.MessageKind:
			fill(m.Mutable(fd).List().AppendMutable().Message(), depth+1)
		case fd.Kind() == protoreflect.MessageKind:
			fill(m.Mutable(fd).Message(), depth+1)
		case fd.IsList():
			m.Mutable(fd).List().Append(scalar(fd.Kind()))
		default:
			m.Set(fd, scalar(fd.Kind()))
		}
	}
}

func scalar(kind protoreflect.Kind) protoreflect.Value {
	switch kind {
	case protoreflect.StringKind:
		return protoreflect.ValueOf("x")
	case protoreflect.BytesKind:
		return protoreflect.ValueOf([]byte{0x12, 0}) // reads as Body{edit{}}
	case protoreflect.BoolKind:
		return protoreflect.ValueOf(true)
	case protoreflect.EnumKind:
		return protoreflect.ValueOf(protoreflect.EnumNumber(1))
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOf(uint32(3))
	}
	return protoreflect.ValueOf(uint64(3))
}

// withoutBytes clears what readable forms change: salt, body, bodyHash, kind and body_json of events.
func withoutBytes(m protoreflect.Message) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsMap() || fd.Kind() != protoreflect.MessageKind:
		case fd.IsList():
			for i := range v.List().Len() {
				withoutBytes(v.List().Get(i).Message())
			}
		default:
			withoutBytes(v.Message())
		}
		return true
	})
	if e, ok := m.Interface().(*Event); ok {
		e.Salt, e.Body, e.BodyHash, e.Kind, e.BodyJson = nil, nil, nil, 0, nil
	}
}

// TestReadableKnowsEveryAnswer finds each message that can hold events and sees whether Readable reaches them.
func TestReadableKnowsEveryAnswer(t *testing.T) {
	n := 0
	for _, file := range []protoreflect.FileDescriptor{File_tidemark_v1_model_proto, File_tidemark_v1_frames_proto, File_tidemark_v1_services_proto} {
		for i := range file.Messages().Len() {
			d := file.Messages().Get(i)
			m := newMessage(d)
			if m == nil {
				t.Fatalf("%s cannot be made", d.Name())
			}
			if strings.HasSuffix(string(d.Name()), "Request") || !fillEvents(m.ProtoReflect()) {
				continue // what is given back is given as it was hashed
			}
			n++
			Readable(m)
			if left := bytesLeft(m.ProtoReflect()); left {
				t.Errorf("Readable does not know %s", d.Name())
			}
		}
	}
	if n < 5 {
		t.Errorf("only %d messages hold events: the walk is wrong", n)
	}
}

func TestCompact(t *testing.T) {
	in := "{ \"a b\" : [ 1,\n\t2 ], \"q\\\" \\\\\": \" \" }\r"
	data := []byte(in)
	if got := string(data[:compact(data)]); got != `{"a b":[1,2],"q\" \\":" "}` {
		t.Errorf("got %s", got)
	}
}

func TestDecodeJSONNamesTheField(t *testing.T) {
	err := DecodeJSON([]byte(`{"conversation":"a","nmae":1}`), &JoinRequest{})
	var refusal *tidemark.Error
	if !errors.As(err, &refusal) || refusal.Reason != tidemark.BadArgument || !strings.Contains(refusal.Message, `"nmae"`) {
		t.Errorf("got %v", err)
	}
	if err := DecodeJSON([]byte(`{"conversation":"a"}`), &JoinRequest{}); err != nil {
		t.Error(err)
	}
}

func TestErrors(t *testing.T) {
	for r := tidemark.BadToken; r <= tidemark.Internal; r++ {
		if Reason(r).String() != r.String() {
			t.Errorf("reason %d is %s here and %s there", r, Reason(r), r)
		}
		e := &tidemark.Error{Reason: r, Message: "no", RetryAfterMs: 5}
		frame := ErrorFrame(3, e).GetError()
		if frame.Request != 3 || frame.Code != r.Info().Code || *ToError(frame) != *e {
			t.Errorf("%v does not come back: %v", e, frame)
		}
	}
	if ToError(&Error{Reason: 99}).Reason != tidemark.Internal {
		t.Error("a reason from the future is INTERNAL")
	}
}

func TestCursors(t *testing.T) {
	c := tidemark.Cursor{Epoch: 5, Positions: map[uint32]tidemark.Position{1: 10, 7: 3}}
	m := CursorOf(c)
	m.Positions[1]++
	if got := ToCursor(m); c.Positions[1] != 10 || got.Positions[1] != 11 || got.Positions[7] != 3 || got.Epoch != 5 {
		t.Errorf("got %v of %v", got, c)
	}
	if got := ToCursor(nil); got.Epoch != 0 || len(got.Positions) != 0 {
		t.Errorf("got %v", got)
	}
}
