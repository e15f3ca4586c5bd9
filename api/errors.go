// SPDX-License-Identifier: Apache-2.0

// From refusals to Connect errors: the reason in the message for people, as a detail for programs.

package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"

	"connectrpc.com/connect"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

// connectCode is the Connect code of each code name in the table of reasons.
var connectCode = map[string]connect.Code{
	"unauthenticated":     connect.CodeUnauthenticated,
	"permission_denied":   connect.CodePermissionDenied,
	"not_found":           connect.CodeNotFound,
	"already_exists":      connect.CodeAlreadyExists,
	"invalid_argument":    connect.CodeInvalidArgument,
	"resource_exhausted":  connect.CodeResourceExhausted,
	"failed_precondition": connect.CodeFailedPrecondition,
	"unavailable":         connect.CodeUnavailable,
	"internal":            connect.CodeInternal,
}

// refused makes the Connect error of a refusal.
func refused(refusal *tidemark.Error) *connect.Error {
	err := connect.NewError(connectCode[refusal.Reason.Info().Code], errors.New(refusal.Error()))
	if detail, detailErr := connect.NewErrorDetail(wire.ErrorOf(0, refusal)); detailErr == nil {
		err.AddDetail(detail)
	}
	if refusal.RetryAfterMs > 0 {
		seconds := (uint64(refusal.RetryAfterMs) + 999) / 1000
		err.Meta().Set("Retry-After", strconv.FormatUint(seconds, 10))
	}
	return err
}

// outward turns whatever a handler returned into what the caller may see: a refusal as it is, the end of the caller's
// patience as such, and everything else as INTERNAL, with the cause in the log only.
func outward(ctx context.Context, log *slog.Logger, procedure string, err error) error {
	var refusal *tidemark.Error
	var already *connect.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refusal):
		return refused(refusal)
	case errors.As(err, &already):
		return already
	case errors.Is(err, context.Canceled):
		return connect.NewError(connect.CodeCanceled, errors.New("the call was cancelled"))
	case errors.Is(err, context.DeadlineExceeded):
		return refused(tidemark.Refuse(tidemark.Unavailable, "the server did not finish in time; what was asked may still be done: retry with the same client id"))
	}
	log.LogAttrs(ctx, slog.LevelError, "call failed", slog.String("procedure", procedure), slog.Any("err", err))
	return refused(tidemark.Refuse(tidemark.Internal, "a fault of the server; its log has the details"))
}

// recovered logs a panic in a handler and answers INTERNAL. Others' calls go on.
func recovered(log *slog.Logger) connect.HandlerOption {
	return connect.WithRecover(func(ctx context.Context, spec connect.Spec, _ http.Header, value any) error {
		log.LogAttrs(ctx, slog.LevelError, "call panicked", slog.String("procedure", spec.Procedure),
			slog.Any("err", value), slog.String("stack", string(debug.Stack())))
		return refused(tidemark.Refuse(tidemark.Internal, "a fault of the server; its log has the details"))
	})
}
