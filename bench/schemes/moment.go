// SPDX-License-Identifier: Apache-2.0

// The moments of a message's life at which a crash is tried.

package schemes

// Moment is a point between two steps of a design. Not every design passes every moment, nor in the same order.
type Moment int

// The moments.
const (
	Arrived  Moment = iota // the server has the message, and has done nothing yet
	Looked                 // it knows who is online
	Partly                 // some of what is to be stored is stored
	Stored                 // all is stored, the writer is not answered
	Answered               // the writer is answered
	Pushing                // half of those online were handed the message
	Pushed                 // all of those online were handed it
	Acked                  // the devices have sent their acknowledgements, none is stored
	Pulling                // what waits for a member who came is read and not handed over
	Pulled                 // it is handed over, and not yet removed or acknowledged
	momentEnd
)

var momentTexts = [momentEnd]string{
	Arrived:  "the message has arrived",
	Looked:   "who is online has been looked up",
	Partly:   "part of it is stored",
	Stored:   "all is stored, the writer not answered",
	Answered: "the writer is answered",
	Pushing:  "half of those online have it",
	Pushed:   "all of those online have it",
	Acked:    "acknowledgements are under way",
	Pulling:  "a member who came back: read, not handed over",
	Pulled:   "a member who came back: handed over, not acknowledged",
}

// String says what has just happened.
func (m Moment) String() string { return momentTexts[m] }
