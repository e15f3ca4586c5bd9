// SPDX-License-Identifier: Apache-2.0

// What every call passes before its handler: who asks, may they ask this, how often, how large, how long.

package api

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/gateway"
	"github.com/tidemark-im/tidemark/wire/wireconnect"
)

// access says who may call a method.
type access uint8

const (
	anybody access = iota // a user, or the app for itself or for a user
	asUser                // a user, or the app with Tidemark-User
	appOnly               // the app
)

// accessOf lists the methods that are not for anybody.
var accessOf = map[string]access{
	wireconnect.SyncServicePullProcedure:             asUser,
	wireconnect.SyncServiceAckProcedure:              asUser,
	wireconnect.SyncServiceChangesProcedure:          asUser,
	wireconnect.MessageServiceReadProcedure:          asUser,
	wireconnect.MessageServiceMentionsProcedure:      asUser,
	wireconnect.ConversationServiceBadgeProcedure:    asUser,
	wireconnect.MessageServiceDeleteProcedure:        asUser,
	wireconnect.MessageServiceClearProcedure:         asUser,
	wireconnect.MessageServiceScheduleProcedure:      asUser,
	wireconnect.MessageServiceUnscheduleProcedure:    asUser,
	wireconnect.MessageServiceScheduledProcedure:     asUser,
	wireconnect.ConversationServiceListProcedure:     asUser,
	wireconnect.ConversationServiceJoinProcedure:     asUser,
	wireconnect.ConversationServiceLeaveProcedure:    asUser,
	wireconnect.ConversationServiceSettingsProcedure: asUser,
	wireconnect.ContactServiceRequestProcedure:       asUser,
	wireconnect.ContactServiceAnswerProcedure:        asUser,
	wireconnect.ContactServiceRemoveProcedure:        asUser,
	wireconnect.ContactServiceBlockProcedure:         asUser,
	wireconnect.ContactServiceUnblockProcedure:       asUser,
	wireconnect.ContactServiceRemarkProcedure:        asUser,
	wireconnect.ContactServiceListProcedure:          asUser,
	wireconnect.UserServiceUpsertProcedure:           appOnly,
	wireconnect.UserServiceIssueTokenProcedure:       appOnly,
	wireconnect.UserServiceDeleteProcedure:           appOnly,
	wireconnect.AdminServiceStatsProcedure:           appOnly,
	wireconnect.AdminServiceSessionsProcedure:        appOnly,
	wireconnect.AdminServiceImportProcedure:          appOnly,
	wireconnect.AdminServicePartitionsProcedure:      appOnly,
	wireconnect.AdminServiceCheckpointProcedure:      appOnly,
}

// bodyBytesMax is how large the request of a method may be, given the server's limit on frames.
func bodyBytesMax(procedure string, frameBytesMax uint32) int {
	switch procedure {
	case wireconnect.AdminServiceImportProcedure:
		return importBytesMax
	case wireconnect.SyncServiceGiveBackProcedure:
		return max(offerBytesMax, int(frameBytesMax))
	}
	return int(frameBytesMax)
}

// identityKey is the context key of the caller's gateway.Identity.
type identityKey struct{}

// caller is who asks; the gate has put it there.
func caller(ctx context.Context) gateway.Identity {
	return ctx.Value(identityKey{}).(gateway.Identity)
}

// actorOf is the caller as the rules know it.
func actorOf(who gateway.Identity) core.Actor { return core.Actor{User: who.User, App: who.App} }

// inOwnName reports whether the app's back end asks for itself. With a user it has that user's rights, no more.
func inOwnName(who gateway.Identity) bool { return who.App && who.User == "" }

// gate runs when the headers of a call are there and before its body is read.
func (a *API) gate(ctx context.Context, spec connect.Spec, peer connect.Peer, header http.Header) (context.Context, error) {
	ctx, err := a.admit(ctx, spec.Procedure, peer.Addr, header)
	if err != nil {
		return nil, outward(ctx, a.config.Log, spec.Procedure, err)
	}
	return ctx, nil
}

// admit identifies the caller and checks what can be checked without the body.
func (a *API) admit(ctx context.Context, procedure, address string, header http.Header) (context.Context, error) {
	now := time.Now()
	who, err := a.config.Auth.FromRequest(&http.Request{Header: header, RemoteAddr: address})
	if err != nil {
		if limited := a.failures.allow(gateway.ClientAddress(address, header, a.config.Proxies).String(), now); limited != nil {
			return ctx, limited
		}
		return ctx, err
	}
	if err := checkAccess(accessOf[procedure], who); err != nil {
		return ctx, err
	}
	if who.User != "" {
		if err := a.checkUsers(who.User); err != nil {
			return ctx, err
		}
	}
	if !who.App {
		if err := a.calls.allow(string(who.User), now); err != nil {
			return ctx, err
		}
	}
	largest := bodyBytesMax(procedure, a.limits.FrameBytesMax)
	if length, err := strconv.Atoi(header.Get("Content-Length")); err == nil && length > largest {
		return ctx, tidemark.Refuse(tidemark.TooLarge, "the request has %d bytes; at most %d are allowed", length, largest)
	}
	return context.WithValue(ctx, identityKey{}, who), nil
}

// checkAccess refuses a caller for whom the method is not meant.
func checkAccess(needs access, who gateway.Identity) error {
	switch {
	case needs == appOnly && !who.App:
		return tidemark.Refuse(tidemark.NotAllowed, "only the app's back end may do this: call with the admin key")
	case needs == asUser && who.User == "":
		return tidemark.Refuse(tidemark.BadArgument, "this is done as a user: add the header `Tidemark-User: <user id>` to the admin key")
	}
	return nil
}

// interceptor refuses unreadable requests, bounds the time of a call, turns its error outward, and reports it.
func (a *API) interceptor() connect.UnaryInterceptorFunc {
	return func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
			begin, procedure := time.Now(), request.Spec().Procedure
			response, err := a.bounded(ctx, procedure, request, next)
			code := "ok"
			if err != nil {
				err = outward(ctx, a.config.Log, procedure, err)
				code = connect.CodeOf(err).String()
			}
			took, method := time.Since(begin), strings.TrimPrefix(procedure, "/tidemark.v1.")
			a.config.Observe(method, code, took)
			a.config.Log.LogAttrs(ctx, slog.LevelDebug, "call", slog.String("method", method), slog.String("code", code),
				slog.String("user", string(caller(ctx).User)), slog.Duration("took", took))
			return response, err
		}
	}
}

// bounded runs the method of a readable request within its time.
func (a *API) bounded(ctx context.Context, procedure string, request connect.AnyRequest, next connect.UnaryFunc) (connect.AnyResponse, error) {
	if complaint := complaint(request.Any()); complaint != nil {
		return nil, complaint
	}
	timeout := callTimeout
	if procedure == wireconnect.SyncServicePullProcedure {
		timeout += waitMax
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return next(ctx, request)
}
