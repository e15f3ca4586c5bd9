// SPDX-License-Identifier: Apache-2.0

// The numbers of record are those of the protocol, and what is emptied is empty.

package record_test

import (
	"reflect"
	"testing"

	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

func TestNumbersAreThoseOfTheProtocol(t *testing.T) {
	for name, pair := range map[string][2]int{
		"direct":  {int(record.Direct), int(wire.Kind_DIRECT)},
		"group":   {int(record.Group), int(wire.Kind_GROUP)},
		"channel": {int(record.Channel), int(wire.Kind_CHANNEL)},
		"room":    {int(record.Room), int(wire.Kind_ROOM)},
		"member":  {int(record.MemberRole), int(wire.Role_MEMBER)},
		"admin":   {int(record.AdminRole), int(wire.Role_ADMIN)},
		"owner":   {int(record.OwnerRole), int(wire.Role_OWNER)},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %d here and %d in the protocol", name, pair[0], pair[1])
		}
	}
	fields := (&wire.Body{}).ProtoReflect().Descriptor().Fields()
	for name, kind := range map[string]record.BodyKind{
		"message": record.MessageBody, "edit": record.EditBody, "recall": record.RecallBody,
		"reaction": record.ReactionBody, "pin": record.PinBody, "members": record.MembersBody, "info": record.InfoBody,
		"erased": record.ErasedBody,
	} {
		field := fields.ByName(protoreflect.Name(name))
		if field == nil || int(field.Number()) != int(kind) {
			t.Errorf("body %s is kind %d here, in the protocol %v", name, kind, field)
		}
	}
}

func TestRoleNames(t *testing.T) {
	for role, want := range map[record.Role]string{0: "none", 1: "member", 2: "admin", 3: "owner", 4: "none"} {
		if got := role.String(); got != want {
			t.Errorf("role %d is %q, want %q", role, got, want)
		}
	}
}

// TestChangesEmptyAndReset fills each slice of Changes in turn, so that none is forgotten when one is added.
func TestChangesEmptyAndReset(t *testing.T) {
	var empty record.Changes
	if !empty.Empty() {
		t.Error("new changes are not empty")
	}
	fields := reflect.TypeFor[record.Changes]()
	for i := range fields.NumField() {
		if fields.Field(i).Type.Kind() != reflect.Slice {
			continue
		}
		var changes record.Changes
		slice := reflect.ValueOf(&changes).Elem().Field(i)
		slice.Set(reflect.MakeSlice(slice.Type(), 1, 1))
		if changes.Empty() {
			t.Errorf("with one of %s, changes are said to be empty", fields.Field(i).Name)
		}
		changes.Partition.Position = 1
		changes.Reset()
		if !changes.Empty() || changes.Partition != (record.Partition{}) || slice.Len() != 0 {
			t.Errorf("after Reset, %s has %d", fields.Field(i).Name, slice.Len())
		}
		if slice.Cap() != 1 {
			t.Errorf("Reset does not keep the memory of %s", fields.Field(i).Name)
		}
	}
}

func TestMember(t *testing.T) {
	var none *record.Member
	if none.Active() || (&record.Member{}).Active() || (&record.Member{JoinedSeq: 1, LeftSeq: 2}).Active() {
		t.Error("somebody is a member who is not")
	}
	if !(&record.Member{JoinedSeq: 1}).Active() {
		t.Error("a member is none")
	}
	hidden := &record.Member{Hidden: true, HiddenSeq: 4}
	if !hidden.HiddenAt(4) || hidden.HiddenAt(5) || (&record.Member{HiddenSeq: 4}).HiddenAt(4) {
		t.Error("a conversation is hidden until the event after the one it was hidden at")
	}
}

func TestProfilePosition(t *testing.T) {
	p := record.Profile{NicknamePosition: 3, AvatarPosition: 9, CustomPosition: 4}
	if p.Position() != 9 {
		t.Errorf("the profile changed last at %d, not %d", 9, p.Position())
	}
}
