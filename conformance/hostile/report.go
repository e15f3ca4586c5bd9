// SPDX-License-Identifier: Apache-2.0

// The driver protocol's messages: what a driver posts, and what it is answered.

package hostile

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Number is a number of up to 64 bits: in JSON a number, or a string where a language has no such numbers.
type Number uint64

// UnmarshalJSON implements [json.Unmarshaler].
func (n *Number) UnmarshalJSON(data []byte) error {
	v, err := strconv.ParseUint(strings.Trim(string(data), `"`), 10, 64)
	if err != nil {
		return fmt.Errorf("%s is no number", data)
	}
	*n = Number(v)
	return nil
}

// MarshalJSON implements [json.Marshaler]: a string, as protobuf's JSON has it.
func (n Number) MarshalJSON() ([]byte, error) { return json.Marshal(strconv.FormatUint(uint64(n), 10)) }

// Scenario is one row of the list of scenarios.
type Scenario struct {
	Name    string `json:"name"`
	Group   string `json:"group"`
	Server  string `json:"server"`  // what the server does
	Client  string `json:"client"`  // what a right client does
	LimitMs int64  `json:"limitMs"` // a run takes no longer
	Devices int    `json:"devices"` // of one user, to be run at once
}

// BeginRequest asks for a run.
type BeginRequest struct {
	Scenario string `json:"scenario"`
	SDK      string `json:"sdk"` // a name for the table; at most 64 bytes
}

// BeginResponse says whom the SDK is to connect as.
type BeginResponse struct {
	Run     string   `json:"run"`
	URL     string   `json:"url"` // of the server: http://HOST:PORT
	Devices []Device `json:"devices"`
	LimitMs int64    `json:"limitMs"`
}

// Device is one device to be run. All are of one user.
type Device struct {
	DeviceID string `json:"deviceId"`
	User     string `json:"user"`
	Token    string `json:"token"`
}

// Task is something that the app is to do: by its SDK, once, before the next report.
type Task struct {
	Number       int    `json:"number"` // from 1
	DeviceID     string `json:"deviceId"`
	Do           string `json:"do"` // "send": send Text to Conversation; "read": mark Conversation read up to its last event; "restart": close the SDK and open it anew from its store
	Conversation string `json:"conversation,omitempty"`
	Text         string `json:"text,omitempty"`
}

// Report is what the SDK shows at one moment.
type Report struct {
	Tasks   int            `json:"tasks"` // the number of the last task that was done
	Devices []DeviceReport `json:"devices"`
}

// DeviceReport is what one device shows.
type DeviceReport struct {
	DeviceID      string      `json:"deviceId"`
	Stopped       bool        `json:"stopped"` // it will not connect again by itself
	Conversations []Shown     `json:"conversations"`
	Rewritten     []Rewritten `json:"rewritten"` // all that was reported since the run began
	Outbox        []Pending   `json:"outbox"`
}

// Shown is what a device shows of one conversation.
type Shown struct {
	ID     string       `json:"id"`
	Events []ShownEvent `json:"events"` // ascending
	Gaps   []Range      `json:"gaps"`   // what it knows to exist and does not have
}

// ShownEvent is one event that a device shows. Events that are no messages may be left out.
type ShownEvent struct {
	Seq  Number `json:"seq"`
	ID   Number `json:"id"` // 0: not told
	Text string `json:"text"`
}

// Range is a run of seqs, both ends included.
type Range struct {
	From Number `json:"from"`
	To   Number `json:"to"`
}

// Rewritten is a report of the SDK that the server's history is not the one that it had.
type Rewritten struct {
	Conversation string `json:"conversation"`
	From         Number `json:"from"`
	To           Number `json:"to"`
}

// Pending is an own message that is not settled.
type Pending struct {
	Conversation string `json:"conversation"`
	ClientID     string `json:"clientId"`
	Text         string `json:"text"`
	State        string `json:"state"` // "queued", "sent", "stored" or "failed"
}

// The verdicts.
const (
	Undecided = "pending" // do the tasks and report again
	Passed    = "pass"
	Failed    = "fail"
)

// Verdict answers a report.
type Verdict struct {
	Scenario    string   `json:"scenario"`
	Verdict     string   `json:"verdict"`
	Reasons     []string `json:"reasons"` // why it is not "pass" (yet)
	Tasks       []Task   `json:"tasks"`   // to be done before the next report
	RemainingMs int64    `json:"remainingMs"`
}
