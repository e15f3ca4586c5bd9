// SPDX-License-Identifier: Apache-2.0

// Refusals and faults on their way to the caller: every reason has its code, and no fault shows its inside.

package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"connectrpc.com/connect"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

func TestEveryReasonBecomesAConnectError(t *testing.T) {
	for reason := tidemark.BadToken; reason <= tidemark.Internal; reason++ {
		err := refused(&tidemark.Error{Reason: reason, Message: "because", RetryAfterMs: 1500})
		if err.Code().String() != reason.Info().Code {
			t.Errorf("%s: code %s", reason, err.Code())
		}
		if err.Message() != reason.String()+": because" || err.Meta().Get("Retry-After") != "2" {
			t.Errorf("%s: %q %v", reason, err.Message(), err.Meta())
		}
		detail, detailErr := err.Details()[0].Value()
		if detailErr != nil || detail.(*wire.Error).GetReason() != wire.Reason(reason) || detail.(*wire.Error).GetRetryAfterMs() != 1500 {
			t.Errorf("%s: %v %v", reason, detail, detailErr)
		}
	}
}

func TestFaultsAreLoggedAndNotShown(t *testing.T) {
	var log strings.Builder
	logger := slog.New(slog.NewTextHandler(&log, nil))
	ctx := context.Background()
	err := outward(ctx, logger, "/x", errors.New("secret: the disk is on fire"))
	if connect.CodeOf(err) != connect.CodeInternal || strings.Contains(err.Error(), "fire") || !strings.Contains(log.String(), "fire") {
		t.Errorf("%v; log %q", err, log.String())
	}
	log.Reset()
	for _, try := range []struct {
		err  error
		code connect.Code
	}{
		{fmt.Errorf("wrapped: %w", tidemark.Refuse(tidemark.NotMember, "no")), connect.CodePermissionDenied},
		{context.Canceled, connect.CodeCanceled},
		{fmt.Errorf("wrapped: %w", context.DeadlineExceeded), connect.CodeUnavailable},
		{connect.NewError(connect.CodeAborted, errors.New("x")), connect.CodeAborted},
	} {
		if got := connect.CodeOf(outward(ctx, logger, "/x", try.err)); got != try.code {
			t.Errorf("%v: %s, want %s", try.err, got, try.code)
		}
	}
	if outward(ctx, logger, "/x", nil) != nil || log.Len() > 0 {
		t.Errorf("log %q", log.String())
	}
}
