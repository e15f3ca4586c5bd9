// SPDX-License-Identifier: Apache-2.0

// What is observed of a world, and what is said when it breaks a promise.

package invariant

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

// Who acts: a device of a user, a user by HTTP (no device), or the app's back end (neither).
type Who struct {
	User   tidemark.UserID
	Device tidemark.DeviceID
}

// String names who acts, for people.
func (w Who) String() string {
	switch {
	case w.User == "":
		return "the app"
	case w.Device == "":
		return string(w.User)
	}
	return string(w.User) + "/" + string(w.Device)
}

// Observer is told what happens in a world, in the order in which it happens. Messages are not changed and may be kept: the
// caller must not change them afterwards.
type Observer interface {
	// Sent tells that a device gives a frame to a connection, whether or not it will arrive. Connections are numbered by the
	// caller, each one once in a run; the first frame of one is its hello.
	Sent(who Who, connection uint64, f *wire.ClientFrame)
	// Received tells that a device was given a frame by a connection, before the device does anything with it.
	Received(who Who, connection uint64, f *wire.ServerFrame)
	// Called tells that a request of the HTTP API is made, as its message (SubmitRequest, FetchRequest, PullRequest …).
	// What is answered is told by the number that it returns.
	Called(who Who, request proto.Message) (call uint64)
	// Answered tells what a call was answered: the response's message, or a [wire.Error]. A call that is never answered may
	// have been carried out or not.
	Answered(call uint64, answer proto.Message)
	// Stored tells that a device has committed what a step wrote: its cursor is the one given from now on, after a crash too.
	Stored(who Who, cursor tidemark.Cursor)
	// Happened tells what broke or was mended.
	Happened(i Incident)
}

// Incident is something that befalls the server or a device.
type Incident struct {
	Kind  IncidentKind
	Who   Who            // of incidents of devices
	Epoch tidemark.Epoch // of Started and Restored: the one under which the server runs from now on
}

// IncidentKind is what befell.
type IncidentKind uint8

// The incidents.
const (
	Started       IncidentKind = iota + 1 // a server runs, with all that was durable
	Crashed                               // the server is gone, with all that was not durable
	Restored                              // an older copy of the server's data is in use, under a new epoch; told before Started
	DeviceCrashed                         // a device lost what it had not stored
	DeviceWiped                           // a device lost all it had: it comes back as a new one
	Calm                                  // nothing breaks from now on
)

// Violation is one promise that was broken.
type Violation struct {
	Invariant    string // S1 … S13, C1 … C6, Y1 … Y5
	Text         string // what was seen and what should have been, for people
	Conversation tidemark.ConversationID
	User         tidemark.UserID
	Device       tidemark.DeviceID
	Seq          tidemark.Seq
}

// Error is the violation in one line.
func (v *Violation) Error() string {
	line := v.Invariant + ": " + v.Text
	var about []string
	if v.Conversation != "" {
		about = append(about, string(v.Conversation))
	}
	if v.Seq > 0 {
		about = append(about, fmt.Sprintf("seq %d", v.Seq))
	}
	if v.User != "" {
		about = append(about, Who{v.User, v.Device}.String())
	}
	if len(about) > 0 {
		line += " (" + strings.Join(about, ", ") + ")"
	}
	return line
}

// about is a violation seen by somebody, in a conversation at a seq; any of them may be zero.
func about(invariant string, who Who, in tidemark.ConversationID, seq tidemark.Seq, format string, args ...any) *Violation {
	return &Violation{
		Invariant: invariant, Text: fmt.Sprintf(format, args...), Conversation: in, User: who.User, Device: who.Device, Seq: seq,
	}
}
