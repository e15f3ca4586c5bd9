// SPDX-License-Identifier: Apache-2.0

// Hostile bytes: decoding never panics, and what was decoded comes back the same after encoding.

package wire

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

func seeds(f *testing.F, format Format) {
	for _, frame := range []*ClientFrame{
		{Frame: &ClientFrame_Hello{Hello: &Hello{Token: "t", DeviceId: "d", Cursor: &Cursor{Epoch: 1, Positions: map[uint32]uint64{3: 9}}}}},
		{Frame: &ClientFrame_Submit{Submit: &Submit{Request: 1, ClientId: "c", ToUser: "bob", Action: &Submit_Message{Message: bodies()[0].GetMessage()}}}},
		{Frame: &ClientFrame_Fetch{Fetch: &Fetch{Conversation: "c", From: &Fetch_Hour{Hour: 1}}}},
		{Frame: &ClientFrame_Watch{Watch: &Watch{Users: []string{"a", "b"}}}},
	} {
		data, err := AppendClientFrame(nil, format, frame)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"dance":{"request":"7"}}`))
	f.Add([]byte("\x52\x7f"))
}

func fuzzClientFrame(f *testing.F, format Format) {
	seeds(f, format)
	f.Fuzz(func(t *testing.T, data []byte) {
		frame, err := DecodeClientFrame(format, data)
		if err != nil {
			return
		}
		for _, other := range []Format{Proto, JSON} {
			if other == JSON && format == Proto {
				if _, err := AppendClientFrame(nil, JSON, frame); err != nil {
					t.Fatalf("accepted, and cannot be shown in JSON: %v", err)
				}
				continue
			}
			encoded, err := AppendClientFrame(nil, other, frame)
			if err != nil {
				t.Fatal(err)
			}
			again, err := DecodeClientFrame(other, encoded)
			if err != nil || !proto.Equal(frame, again) {
				t.Fatalf("%v: came back as %v from %q, %v", frame, again, encoded, err)
			}
		}
	})
}

func FuzzClientFrameProto(f *testing.F) { fuzzClientFrame(f, Proto) }
func FuzzClientFrameJSON(f *testing.F)  { fuzzClientFrame(f, JSON) }

// FuzzServerFrame: what a client reads of a server is the same after it was written and read again. Shown in JSON, where it
// can be, it is of the same kind.
func FuzzServerFrame(f *testing.F) {
	for _, b := range bodies() {
		frame := &ServerFrame{Frame: &ServerFrame_Fetched{Fetched: &Fetched{Events: []*Event{{Seq: 1, Body: MarshalBody(b)}}}}}
		data, _ := AppendServerFrame(nil, Proto, frame)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = DecodeServerFrame(JSON, data)
		frame, err := DecodeServerFrame(Proto, data)
		if err != nil {
			return
		}
		encoded, err := AppendServerFrame(nil, Proto, frame)
		if err != nil {
			t.Fatalf("%v was read, and cannot be written: %v", frame, err)
		}
		if again, err := DecodeServerFrame(Proto, encoded); err != nil || !proto.Equal(frame, again) {
			t.Fatalf("%v came back as %v from %x, %v", frame, again, encoded, err)
		}
		shown, err := AppendServerFrame(nil, JSON, frame)
		if err != nil {
			return // no server writes this: an event whose bytes are no body, text that is not UTF-8
		}
		kind := func(m *ServerFrame) protoreflect.FieldDescriptor {
			return m.ProtoReflect().WhichOneof(m.ProtoReflect().Descriptor().Oneofs().Get(0))
		}
		if again, err := DecodeServerFrame(JSON, shown); err != nil || kind(again) != kind(frame) {
			t.Fatalf("%v came back as %v from %q, %v", frame, again, shown, err)
		}
	})
}

func FuzzCursor(f *testing.F) {
	data, _ := CursorOf(ToCursor(&Cursor{Epoch: 1, Positions: map[uint32]uint64{0: 1, 255: 1 << 63}})).MarshalVT()
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		m := &Cursor{}
		if m.UnmarshalVT(data) != nil {
			return
		}
		back := CursorOf(ToCursor(m))
		if back.Epoch != m.Epoch || len(back.Positions) != len(m.Positions) {
			t.Fatalf("%v came back as %v", m, back)
		}
		for partition, position := range m.Positions {
			if back.Positions[partition] != position {
				t.Fatalf("%v came back as %v", m, back)
			}
		}
	})
}

func newMessage(d protoreflect.MessageDescriptor) proto.Message {
	mt, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if err != nil {
		return nil
	}
	return mt.New().Interface()
}

// fillEvents puts one event with bytes in every place of m that can hold events; false when there is none.
func fillEvents(m protoreflect.Message) bool {
	if e, ok := m.Interface().(*Event); ok {
		e.Body, e.Salt = MarshalBody(bodies()[4]), []byte{1}
		return true
	}
	found := false
	for i := range m.Descriptor().Fields().Len() {
		fd := m.Descriptor().Fields().Get(i)
		if fd.IsMap() || fd.Kind() != protoreflect.MessageKind {
			continue
		}
		inner := newMessage(fd.Message()).ProtoReflect()
		if !fillEvents(inner) {
			continue
		}
		found = true
		if fd.IsList() {
			m.Mutable(fd).List().Append(protoreflect.ValueOf(inner))
		} else {
			m.Set(fd, protoreflect.ValueOf(inner))
		}
	}
	return found
}

func bytesLeft(m protoreflect.Message) bool {
	if e, ok := m.Interface().(*Event); ok {
		return len(e.Body) > 0 || len(e.Salt) > 0 || e.BodyJson == nil
	}
	left := false
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsMap() || fd.Kind() != protoreflect.MessageKind:
		case fd.IsList():
			for i := range v.List().Len() {
				left = left || bytesLeft(v.List().Get(i).Message())
			}
		default:
			left = left || bytesLeft(v.Message())
		}
		return true
	})
	return left
}
