// SPDX-License-Identifier: Apache-2.0

// Tokens that were good and are refused: revoked by their user or the app, or of an account that has ended.

package gateway

import (
	"fmt"
	"math"
	"strconv"

	tidemark "github.com/tidemark-im/tidemark"
)

// Revoked says since when a user's tokens must have been issued, Unix ms, to count for a device ("": for no device in
// particular), and to count for any: math.MaxUint64 where the user was deleted, 0 where nothing was revoked. It is asked
// at every use of a token, so it answers from memory. Its error is of a failing store.
type Revoked func(tidemark.UserID, tidemark.DeviceID) (fromMs, anyFromMs uint64, err error)

// Admit refuses with BAD_TOKEN who may not be that device ("": no device in particular), or not any more: the token is
// bound to another, was revoked, or its user was deleted. The app's back end is always admitted. Cheap: ask it again
// whenever something that takes long has begun.
func (a *Auth) Admit(id Identity, device tidemark.DeviceID) error {
	if id.Device != "" && device != "" && id.Device != device {
		return tidemark.Refuse(tidemark.BadToken, "the token is bound to device %q and cannot be used by %q", id.Device, device)
	}
	if id.App || a.config.Revoked == nil {
		return nil
	}
	fromMs, _, err := a.config.Revoked(id.User, device)
	switch {
	case err != nil:
		return err
	case fromMs == math.MaxUint64:
		return tidemark.Refuse(tidemark.BadToken, "the user of the token was deleted")
	case id.IssuedMs < fromMs:
		return tidemark.Refuse(tidemark.BadToken, "the token was revoked: sign in again to get a new one")
	}
	return nil
}

// notRevoked is the time that a token issued now carries: never one that is revoked already.
func (a *Auth) notRevoked(user tidemark.UserID, device tidemark.DeviceID, nowMs uint64) (uint64, error) {
	if a.config.Revoked == nil {
		return nowMs, nil
	}
	fromMs, anyFromMs, err := a.config.Revoked(user, device)
	if device == "" { // it may be used by any device
		fromMs = anyFromMs
	}
	if err == nil && fromMs == math.MaxUint64 {
		err = tidemark.Refuse(tidemark.UnknownUser, "the user %q was deleted", user)
	}
	return max(nowMs, fromMs), err
}

// issuedAt is the claim iat: in a token seconds with a fraction, here milliseconds since the Unix epoch. 0: none.
type issuedAt uint64

// MarshalJSON writes seconds, with as many digits as it takes.
func (t issuedAt) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(t)/1000, 'f', -1, 64), nil
}

// UnmarshalJSON reads seconds. What is below a millisecond is cut off.
func (t *issuedAt) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	seconds, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return fmt.Errorf("iat is %.40s, not a number of seconds", b)
	}
	*t = issuedAt(min(max(math.Floor(seconds*1000+1e-3), 0), 1<<53))
	return nil
}
