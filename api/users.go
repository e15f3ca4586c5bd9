// SPDX-License-Identifier: Apache-2.0

// UserService: accounts, tokens and devices.

package api

import (
	"context"
	"math"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/gateway"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// userService implements [wireconnect.UserServiceHandler].
type userService struct{ *API }

// Upsert creates a user or replaces its profile.
func (s *userService) Upsert(ctx context.Context, request *wire.UpsertUserRequest) (*wire.UpsertUserResponse, error) {
	profile := request.GetUser()
	if profile == nil {
		return nil, tidemark.Refuse(tidemark.BadArgument, `user is missing: send {"user":{"id":"…","nickname":"…"}}`)
	}
	id, err := userID("user.id", profile.GetId())
	if err != nil {
		return nil, err
	}
	reply, err := s.do(ctx, &core.UpsertUser{User: id, Nickname: profile.GetNickname(), Avatar: profile.GetAvatar(), Custom: profile.GetCustom()})
	if err != nil {
		return nil, err
	}
	return &wire.UpsertUserResponse{User: partition.WireProfile(reply.Profile), Created: reply.Created}, nil
}

// Get answers a user's profile: the caller's own if none is named.
func (s *userService) Get(ctx context.Context, request *wire.GetUserRequest) (*wire.GetUserResponse, error) {
	named := request.GetUserId()
	if named == "" {
		named = string(caller(ctx).User)
	}
	id, err := userID("userId", named)
	if err != nil {
		return nil, err
	}
	profile, err := s.config.Set.OfUser(id).Profile(id)
	switch {
	case err != nil:
		return nil, err
	case profile == nil:
		return nil, unknownUser(id)
	}
	return &wire.GetUserResponse{User: partition.WireProfile(profile)}, nil
}

// Update changes fields of a profile: the caller's own, or for the app anybody's.
func (s *userService) Update(ctx context.Context, request *wire.UpdateUserRequest) (*wire.UpdateUserResponse, error) {
	id, err := ownUser(caller(ctx), "userId", request.GetUserId())
	if err != nil {
		return nil, err
	}
	reply, err := s.do(ctx, &core.UpdateUser{User: id, Nickname: request.Nickname, Avatar: request.Avatar, Custom: request.GetCustom()})
	if err != nil {
		return nil, err
	}
	return &wire.UpdateUserResponse{User: partition.WireProfile(reply.Profile)}, nil
}

// IssueToken signs a token for a user that exists.
func (s *userService) IssueToken(_ context.Context, request *wire.IssueTokenRequest) (*wire.IssueTokenResponse, error) {
	id, err := userID("userId", request.GetUserId())
	if err != nil {
		return nil, err
	}
	if err := s.checkUsers(id); err != nil {
		return nil, err
	}
	const ttlMsMax = 100 * 365 * 24 * 3600 * 1000 // far above what is allowed, so that it does not overflow
	ttl := time.Duration(min(request.GetTtlMs(), ttlMsMax)) * time.Millisecond
	token, expiresMs, err := s.config.Auth.Issue(id, tidemark.DeviceID(request.GetDeviceId()), ttl)
	if err != nil {
		return nil, err
	}
	return &wire.IssueTokenResponse{Token: token, ExpiresMs: expiresMs}, nil
}

// Devices lists the devices of a user.
func (s *userService) Devices(ctx context.Context, request *wire.DevicesRequest) (*wire.DevicesResponse, error) {
	id, err := ownUser(caller(ctx), "userId", request.GetUserId())
	if err != nil {
		return nil, err
	}
	if err := s.checkUsers(id); err != nil {
		return nil, err
	}
	devices, err := s.devicesOf(id)
	if err != nil {
		return nil, err
	}
	return &wire.DevicesResponse{Devices: devices}, nil
}

// devicesOf are a user's devices: those that are remembered, and those that are connected and will be in a moment.
func (s *userService) devicesOf(id tidemark.UserID) ([]*wire.Device, error) {
	remembered, err := s.config.Set.OfUser(id).Devices(id)
	if err != nil {
		return nil, err
	}
	var devices []*wire.Device
	known := map[string]bool{}
	for _, d := range remembered {
		online, lastSeenMs := s.seen(id, d)
		devices = append(devices, &wire.Device{
			DeviceId: string(d.ID), Platform: d.Platform, Client: d.Client, Online: online,
			FirstSeenMs: d.FirstSeenMs, LastSeenMs: lastSeenMs,
		})
		known[string(d.ID)] = true
	}
	for _, session := range s.config.Registry.List(id, "", math.MaxInt) {
		if !known[session.GetDeviceId()] {
			devices = append(devices, &wire.Device{
				DeviceId: session.GetDeviceId(), Platform: session.GetPlatform(), Client: session.GetClient(), Online: true,
				FirstSeenMs: session.GetConnectedMs(), LastSeenMs: s.config.NowMs(),
			})
		}
	}
	return devices, nil
}

// seen tells whether a device is connected, and when it was last: now if it is.
func (a *API) seen(user tidemark.UserID, d *record.Device) (online bool, lastSeenMs uint64) {
	if a.config.Registry.Online(user, d.ID) {
		return true, a.config.NowMs()
	}
	return false, d.LastSeenMs
}

// Kick closes the sessions of a device, or of all, and forgets it; with revoke the tokens issued before are refused.
func (s *userService) Kick(ctx context.Context, request *wire.KickRequest) (*wire.KickResponse, error) {
	who := caller(ctx)
	id, err := ownUser(who, "userId", request.GetUserId())
	if err != nil {
		return nil, err
	}
	if err := s.checkUsers(id); err != nil {
		return nil, err
	}
	device := tidemark.DeviceID(request.GetDeviceId())
	if device != "" && !device.Valid() {
		return nil, tidemark.Refuse(tidemark.BadArgument, "deviceId %.80q cannot be a device id: use %s", device, tidemark.IDAlphabet)
	}
	forget := []tidemark.DeviceID{device}
	if device == "" {
		devices, err := s.devicesOf(id)
		if err != nil {
			return nil, err
		}
		forget = forget[:0]
		for _, d := range devices {
			forget = append(forget, tidemark.DeviceID(d.GetDeviceId()))
		}
	}
	if request.GetRevoke() { // first: who comes meanwhile with such a token is either refused or kicked
		if _, err := s.do(ctx, &core.RevokeTokens{User: id, Device: device}); err != nil {
			return nil, err
		}
	}
	closed := s.config.Registry.Kick(id, device)
	for _, d := range forget {
		if err := s.config.Set.Forget(ctx, id, d); err != nil {
			return nil, err
		}
	}
	return &wire.KickResponse{Sessions: uint32(closed)}, nil
}

// Delete ends an account, and answers when the user is a member nowhere any more. Called again, it goes on.
func (s *userService) Delete(ctx context.Context, request *wire.DeleteUserRequest) (*wire.DeleteUserResponse, error) {
	id, err := userID("userId", request.GetUserId())
	if err != nil {
		return nil, err
	}
	done, err := s.config.Set.Delete(ctx, id, func() int { return s.config.Registry.Kick(id, "") })
	if err != nil {
		return nil, err
	}
	return &wire.DeleteUserResponse{Sessions: uint32(done.Sessions), Conversations: uint32(done.Conversations)}, nil
}

// Options answers what a user has chosen for itself, and changes the fields given.
func (s *userService) Options(ctx context.Context, request *wire.OptionsRequest) (*wire.OptionsResponse, error) {
	id, err := ownUser(caller(ctx), "userId", request.GetUserId())
	if err != nil {
		return nil, err
	}
	if err := s.checkUsers(id); err != nil {
		return nil, err
	}
	account, err := s.config.Set.Account(id)
	if err != nil {
		return nil, err
	}
	if request.HidePresence != nil || request.HideTyping != nil || request.ContactsOnly != nil {
		reply, err := s.do(ctx, &core.SetOptions{
			User: id, HidePresence: request.HidePresence, HideTyping: request.HideTyping, ContactsOnly: request.ContactsOnly,
		})
		if err != nil {
			return nil, err
		}
		account = reply.Account
	}
	options := &wire.UserOptions{}
	if account != nil {
		options.HidePresence, options.HideTyping, options.ContactsOnly = account.HidePresence, account.HideTyping, account.ContactsOnly
	}
	return &wire.OptionsResponse{Options: options}, nil
}

// presenceMax is how many users one call of Presence may ask about.
const presenceMax = 1000

// Presence answers which users are online, as far as they show it to the caller.
func (s *userService) Presence(ctx context.Context, request *wire.PresenceRequest) (*wire.PresenceResponse, error) {
	if n := len(request.GetUsers()); n > presenceMax {
		return nil, tidemark.Refuse(tidemark.TooMany, "%d users; at most %d a call", n, presenceMax)
	}
	users, asking := make([]tidemark.UserID, len(request.GetUsers())), caller(ctx).User
	for i, id := range request.GetUsers() {
		users[i] = tidemark.UserID(id)
	}
	if err := s.config.Set.CheckKnown(users...); err != nil {
		return nil, err
	}
	answer := &wire.PresenceResponse{Users: make([]*wire.Presence, len(users))}
	for i, user := range users {
		stands, err := s.config.Set.Presence(asking, user)
		if err != nil {
			return nil, err
		}
		answer.Users[i] = &wire.Presence{User: string(user), Online: stands.Online, LastSeenMs: stands.LastSeenMs}
		if stands.Online {
			answer.Users[i].Platforms = s.config.Registry.Platforms(user)
		}
	}
	return answer, nil
}

// ownUser is the user that a request is about: the caller when it names none; for the app in its own name anybody.
func ownUser(who gateway.Identity, field, named string) (tidemark.UserID, error) {
	switch {
	case named == "" && who.User == "":
		return "", tidemark.Refuse(tidemark.BadArgument, "%s is missing: say which user", field)
	case named == "":
		return who.User, nil
	case named != string(who.User) && !inOwnName(who):
		return "", tidemark.Refuse(tidemark.NotAllowed, "%s is %.80q: only the app's back end may ask about other users", field, named)
	}
	return userID(field, named)
}

// userID checks the id of an ordinary user.
func userID(field, id string) (tidemark.UserID, error) {
	user := tidemark.UserID(id)
	switch {
	case !user.Valid():
		return "", tidemark.Refuse(tidemark.BadArgument, "%s %.80q cannot be a user id: use %s", field, id, tidemark.IDAlphabet)
	case user == tidemark.SystemUser:
		return "", tidemark.Refuse(tidemark.BadArgument, "%s %q is reserved for the system's own messages", field, id)
	}
	return user, nil
}

func unknownUser(id tidemark.UserID) error {
	return tidemark.Refuse(tidemark.UnknownUser, "no user %q; the app's back end creates users with UserService/Upsert", id)
}

// checkUsers refuses unless all of these users exist.
func (a *API) checkUsers(ids ...tidemark.UserID) error { return a.config.Set.CheckUsers(ids...) }
