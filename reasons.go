// SPDX-License-Identifier: Apache-2.0

// Why something was refused: one closed list, and one table reason -> code -> HTTP status -> retryable.

package tidemark

import "fmt"

// Reason is a closed list of error reasons, stable on the wire; each has one meaning. Its values are those of
// tidemark.v1.Reason.
type Reason uint8

// The reasons.
const (
	BadToken            Reason = iota + 1 // the token or key is missing, wrong or expired
	NotAllowed                            // the user's role or the server's settings do not allow it
	NotMember                             // the user is not a member of the conversation
	Blocked                               // the peer has blocked the user
	Muted                                 // the user, or everybody, is muted here
	NotContact                            // only contacts may write
	UnknownUser                           // no user of this id
	UnknownConversation                   // no conversation of this id
	UnknownEvent                          // no event of this seq, or one that cannot be the target
	AlreadyExists                         // the id is taken
	TooLarge                              // a size limit
	TooMany                               // a count limit
	RateLimited                           // slow down: retry later
	BadArgument                           // the request is wrong in itself
	EditWindowOver                        // too late to edit or recall
	ReadOnly                              // nobody may write here
	Unavailable                           // the server cannot now: retry later
	Internal                              // a fault of the server
)

// ReasonInfo is a row of the table of reasons.
type ReasonInfo struct {
	Name      string // on the wire: "NOT_MEMBER"
	Code      string // Connect's code: "permission_denied"
	Status    int    // HTTP status
	Retryable bool   // the same request may succeed later
}

var reasons = [...]ReasonInfo{
	BadToken:            {"BAD_TOKEN", "unauthenticated", 401, false},
	NotAllowed:          {"NOT_ALLOWED", "permission_denied", 403, false},
	NotMember:           {"NOT_MEMBER", "permission_denied", 403, false},
	Blocked:             {"BLOCKED", "permission_denied", 403, false},
	Muted:               {"MUTED", "permission_denied", 403, false},
	NotContact:          {"NOT_CONTACT", "permission_denied", 403, false},
	UnknownUser:         {"UNKNOWN_USER", "not_found", 404, false},
	UnknownConversation: {"UNKNOWN_CONVERSATION", "not_found", 404, false},
	UnknownEvent:        {"UNKNOWN_EVENT", "not_found", 404, false},
	AlreadyExists:       {"ALREADY_EXISTS", "already_exists", 409, false},
	TooLarge:            {"TOO_LARGE", "invalid_argument", 400, false},
	TooMany:             {"TOO_MANY", "resource_exhausted", 429, false},
	RateLimited:         {"RATE_LIMITED", "resource_exhausted", 429, true},
	BadArgument:         {"BAD_ARGUMENT", "invalid_argument", 400, false},
	EditWindowOver:      {"EDIT_WINDOW_OVER", "failed_precondition", 400, false},
	ReadOnly:            {"READ_ONLY", "failed_precondition", 400, false},
	Unavailable:         {"UNAVAILABLE", "unavailable", 503, true},
	Internal:            {"INTERNAL", "internal", 500, false},
}

// Info is the reason's row of the table. It panics on a value outside the closed list.
func (r Reason) Info() ReasonInfo {
	if r == 0 || int(r) >= len(reasons) {
		panic(fmt.Sprintf("tidemark: reason %d is not in the closed list", r))
	}
	return reasons[r]
}

// String is the reason's name on the wire.
func (r Reason) String() string { return r.Info().Name }

// Error is a refusal: a reason for programs and a sentence for people. It is what every package returns where the
// caller, not the server, is to blame, and what becomes an error frame or an HTTP error.
type Error struct {
	Reason       Reason
	Message      string // what is wrong and what to do, for people
	RetryAfterMs uint32 // 0: no hint
}

// Error implements the error interface.
func (e *Error) Error() string { return e.Reason.String() + ": " + e.Message }

// Refuse makes an [Error] with a formatted message.
func Refuse(reason Reason, format string, args ...any) *Error {
	return &Error{Reason: reason, Message: fmt.Sprintf(format, args...)}
}
