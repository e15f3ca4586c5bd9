// SPDX-License-Identifier: Apache-2.0

// What the fast decoder does not check, for frames that come from clients: that strings are UTF-8, and that unknown
// fields which will be stored and passed on can be read by others. A test walks the descriptors and fails when a string
// is forgotten here.

package wire

import (
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// validText reports whether every string of the frame is valid UTF-8 and every unknown field in a submitted body is
// well-formed.
func (m *ClientFrame) validText() bool {
	switch f := m.Frame.(type) {
	case *ClientFrame_Hello:
		h := f.Hello
		return allText(h.GetToken(), h.GetDeviceId(), h.GetPlatform(), h.GetClient())
	case *ClientFrame_Submit:
		return f.Submit.validText()
	case *ClientFrame_Read:
		return utf8.ValidString(f.Read.GetConversation())
	case *ClientFrame_Fetch:
		return utf8.ValidString(f.Fetch.GetConversation())
	case *ClientFrame_Typing:
		return utf8.ValidString(f.Typing.GetConversation())
	case *ClientFrame_Enter:
		return utf8.ValidString(f.Enter.GetConversation())
	case *ClientFrame_Leave:
		return utf8.ValidString(f.Leave.GetConversation())
	case *ClientFrame_Watch:
		return allText(f.Watch.GetUsers()...)
	}
	return true // ack and ping have no strings
}

func (m *Submit) validText() bool {
	if !allText(m.GetClientId(), m.GetConversation(), m.GetToUser()) {
		return false
	}
	switch a := m.Action.(type) {
	case *Submit_Message:
		return a.Message.validText()
	case *Submit_Edit:
		return readableUnknown(a.Edit) && a.Edit.GetMessage().validText()
	case *Submit_Recall:
		return readableUnknown(a.Recall) && utf8.ValidString(a.Recall.GetReason())
	case *Submit_Reaction:
		return readableUnknown(a.Reaction) && utf8.ValidString(a.Reaction.GetKey())
	case *Submit_Pin:
		return readableUnknown(a.Pin)
	}
	return true
}

func (m *Message) validText() bool {
	return m == nil || readableUnknown(m) && allText(m.Type, m.Text) && allText(m.Mentions...) &&
		(m.Forwarded == nil || readableUnknown(m.Forwarded) && allText(m.Forwarded.Conversation, m.Forwarded.Sender))
}

func allText(values ...string) bool {
	for _, s := range values {
		if !utf8.ValidString(s) {
			return false
		}
	}
	return true
}

// readableUnknown reports whether the fields of m that this version does not know are well-formed: they are stored and
// passed on, and a decoder stricter than ours must not choke on them.
func readableUnknown(m proto.Message) bool {
	unknown := m.ProtoReflect().GetUnknown()
	for len(unknown) > 0 {
		_, _, n := protowire.ConsumeField(unknown)
		if n < 0 {
			return false
		}
		unknown = unknown[n:]
	}
	return true
}
