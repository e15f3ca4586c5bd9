// SPDX-License-Identifier: Apache-2.0

// A fault in a handler costs that call only.

package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/tidemark-im/tidemark/gateway"
	"github.com/tidemark-im/tidemark/journal"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/session"
	"github.com/tidemark-im/tidemark/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testKey = "0123456789abcdef"

// serveAPI serves an API over an empty store in memory.
func serveAPI(t *testing.T, change func(*Config)) *httptest.Server {
	t.Helper()
	nowMs := func() uint64 { return uint64(time.Now().UnixMilli()) }
	db, err := store.Open(store.Config{Dir: "data", FS: vfs.NewMem(), Partitions: 2, NowMs: nowMs, Entropy: rand.Reader, CacheBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	set, err := partition.Open(partition.Config{DB: db, Journal: journal.NewLocal(db), NowMs: nowMs, Entropy: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	auth, err := gateway.NewAuth(gateway.AuthConfig{Dir: t.TempDir(), AdminKey: testKey})
	if err != nil {
		t.Fatal(err)
	}
	config := Config{Set: set, Registry: session.NewRegistry(), Auth: auth, Log: slog.New(slog.DiscardHandler)}
	change(&config)
	server := httptest.NewServer(New(config))
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- set.Run(ctx) }()
	t.Cleanup(func() {
		server.Close()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return server
}

func post(t *testing.T, server *httptest.Server, method string) (status int, text string) {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, server.URL+"/tidemark.v1."+method, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+testKey)
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestPanicCostsOneCall(t *testing.T) {
	var log bytes.Buffer
	var observed []string
	server := serveAPI(t, func(c *Config) {
		c.Log = slog.New(slog.NewTextHandler(&log, nil))
		c.Disk = func() (used, free uint64) { panic("the disk is a lie") }
		c.Observe = func(method, code string, _ time.Duration) { observed = append(observed, method+" "+code) }
	})
	status, text := post(t, server, "AdminService/Stats")
	if status != 500 || !strings.Contains(text, "INTERNAL: ") || strings.Contains(text, "lie") {
		t.Errorf("%d %s", status, text)
	}
	if !strings.Contains(log.String(), "the disk is a lie") || !strings.Contains(log.String(), "admin.go") {
		t.Errorf("the log does not say what and where: %s", log.String())
	}
	if status, text := post(t, server, "AdminService/Sessions"); status != 200 {
		t.Errorf("the next call: %d %s", status, text)
	}
	if want := "AdminService/Stats internal, AdminService/Sessions ok"; strings.Join(observed, ", ") != want {
		t.Errorf("observed %q", observed)
	}
}
