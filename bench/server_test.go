// SPDX-License-Identifier: Apache-2.0

// Starting and ending server processes, with this test binary in the role of the server.

package bench

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// role is the environment variable that makes this binary play a server.
const role = "BENCH_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "":
		goleak.VerifyTestMain(m)
	case "broken":
		fmt.Fprintln(os.Stderr, "the data directory is on fire")
		os.Exit(3)
	case "polite", "stubborn":
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		fmt.Print("tidemark is starting\nlistening on ")
		fmt.Println("http://127.0.0.1:4711")
		fmt.Fprintln(os.Stderr, "key", os.Getenv("TIDEMARK_ADMIN_KEY"), strings.Join(os.Args[1:], " "))
		<-stop
		if os.Getenv(role) == "stubborn" {
			select {}
		}
	}
}

func start(t *testing.T, playing string) (*Server, error) {
	t.Helper()
	t.Setenv(role, playing)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return StartServer(t.Context(), ServerConfig{Program: program, DataDir: "somewhere", AdminKey: "k3y", Args: []string{"--log-level", "warn"}})
}

func TestServerIsFoundReadyAndStops(t *testing.T) {
	server, err := start(t, "polite")
	if err != nil {
		t.Fatal(err)
	}
	if server.URL != "http://127.0.0.1:4711" || server.AdminKey != "k3y" || server.DataDir != "somewhere" {
		t.Errorf("target is %+v", server.Target)
	}
	usage, known := server.Usage()
	if !known || usage.RSSBytes < 1<<20 {
		t.Errorf("usage of a living process: %+v, %v", usage, known)
	}
	if err := server.Stop(10 * time.Second); err != nil {
		t.Errorf("Stop: %v", err)
	}
	if want := "key k3y serve --data somewhere --listen 127.0.0.1:0 --frames-per-second=-1 --log-level warn"; !strings.Contains(server.Log(), want) {
		t.Errorf("the process was started with %q, want %q", server.Log(), want)
	}
	if _, known := server.Usage(); known {
		t.Error("the process is still there")
	}
}

func TestServerThatDoesNotStopIsKilled(t *testing.T) {
	server, err := start(t, "stubborn")
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Stop(50 * time.Millisecond); err == nil || !strings.Contains(err.Error(), "was killed") {
		t.Errorf("Stop: %v, want that it was killed", err)
	}
	select {
	case <-server.Exited():
	default:
		t.Error("the process was not waited for")
	}
}

func TestServerThatFailsSaysWhy(t *testing.T) {
	_, err := start(t, "broken")
	if err == nil || !strings.Contains(err.Error(), "on fire") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("StartServer: %v, want the exit status and what the process wrote", err)
	}
}

func TestAnnouncementArrivesInPieces(t *testing.T) {
	a := announcement{found: make(chan string, 1)}
	for _, piece := range []string{"some line\nlisten", "ing on http://127", ".0.0.1:80\r", "\nlistening on http://other\n"} {
		if n, err := a.Write([]byte(piece)); n != len(piece) || err != nil {
			t.Fatalf("Write(%q) = %d, %v", piece, n, err)
		}
	}
	if got := <-a.found; got != "http://127.0.0.1:80" {
		t.Errorf("found %q", got)
	}
}

func TestTailKeepsTheLast(t *testing.T) {
	var kept Tail
	for i := range 5000 {
		fmt.Fprintf(&kept, "line %d of many, and some more text so that it gets long\n", i)
	}
	if got := kept.String(); len(got) > tailBytesMax || !strings.HasSuffix(got, "line 4999 of many, and some more text so that it gets long\n") {
		t.Errorf("%d bytes kept, ending in %q", len(got), got[len(got)-80:])
	}
}

func TestDiskBytesCountsFilesInFolders(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "inner"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "inner", "file"), make([]byte, 100_000), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := diskBytes(dir); got < 100_000 || got > 200_000 {
		t.Errorf("diskBytes = %d for one file of 100,000 bytes", got)
	}
	if got := diskBytes(filepath.Join(dir, "nowhere")); got != 0 {
		t.Errorf("diskBytes of nothing = %d", got)
	}
}
