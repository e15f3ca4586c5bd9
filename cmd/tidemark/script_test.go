// SPDX-License-Identifier: Apache-2.0

// The command line as people use it: scripts in testdata/script, each run in an empty directory.
//
// Beside testscript's own commands they have
//
//	serve [flags]   starts a server on a free port, waits until it is ready, and sets URL
//	stop            ends it by SIGTERM and fails unless its exit status is 0
//	crash           ends it by SIGKILL
//	damage CONV [DIR]   changes the digest in the head of a conversation of a stopped server
//	call METHOD BODY [USER]   calls it with the admin key, for a user

package main

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store"
)

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"tidemark": main}) }

func TestScripts(t *testing.T) { runScripts(t, testscript.Params{Dir: "testdata/script"}) }

// TestA3ExportOfAnyRange is one of the scripts under the name of the promise that it shows.
func TestA3ExportOfAnyRange(t *testing.T) {
	runScripts(t, testscript.Params{Files: []string{"testdata/script/export.txtar"}})
}

func runScripts(t *testing.T, scripts testscript.Params) {
	t.Helper()
	testscript.Run(t, testscript.Params{
		Dir:                 scripts.Dir,
		Files:               scripts.Files,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			for _, variable := range os.Environ() {
				if strings.HasPrefix(variable, "TIDEMARK_") && !strings.HasPrefix(variable, "TIDEMARK_IRC_LOGS=") {
					return errors.New("the environment has " + variable + ", which would change what is tested")
				}
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"serve": serveInScript, "stop": stopInScript, "crash": crashInScript, "call": callInScript, "damage": damageInScript},
	})
}

func serveInScript(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("! serve: use exec tidemark serve")
	}
	command := exec.Command(tidemarkIn(ts), append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	command.Dir = ts.Getenv("WORK")
	command.Env = append(os.Environ(), "HOME="+ts.Getenv("HOME"))
	for _, name := range []string{"TIDEMARK_DATA", "TIDEMARK_ADMIN_KEY", "TIDEMARK_CONFIG"} {
		if value := ts.Getenv(name); value != "" {
			command.Env = append(command.Env, name+"="+value)
		}
	}
	errors, err := os.Create(ts.MkAbs("serve.err"))
	ts.Check(err)
	defer errors.Close()
	command.Stderr = errors
	out, err := command.StdoutPipe()
	ts.Check(err)
	ts.Check(command.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	url, ready := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	ts.Defer(func() {
		_ = command.Process.Kill() // does nothing after stop
		_ = command.Wait()
	})
	if !ready {
		ts.Fatalf("serve: %q %v\n%s", line, err, ts.ReadFile("serve.err"))
	}
	ts.Setenv("URL", url)
	current.Store(ts.Getenv("WORK"), command)
}

// tidemarkIn is the program under test, which testscript puts into the script's PATH.
func tidemarkIn(ts *testscript.TestScript) string {
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if path := filepath.Join(dir, "tidemark"); fileExists(path) {
			return path
		}
	}
	ts.Fatalf("no tidemark in PATH")
	return ""
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// current is each script's server, by its working directory.
var current sync.Map

func stopInScript(ts *testscript.TestScript, _ bool, _ []string) {
	command, found := current.Load(ts.Getenv("WORK"))
	if !found {
		ts.Fatalf("stop: no server runs")
	}
	ts.Check(command.(*exec.Cmd).Process.Signal(syscall.SIGTERM))
	ts.Check(command.(*exec.Cmd).Wait())
}

func crashInScript(ts *testscript.TestScript, _ bool, _ []string) {
	command, found := current.Load(ts.Getenv("WORK"))
	if !found {
		ts.Fatalf("crash: no server runs")
	}
	ts.Check(command.(*exec.Cmd).Process.Kill())
	_ = command.(*exec.Cmd).Wait() // it says that it was killed
}

func callInScript(ts *testscript.TestScript, _ bool, args []string) {
	request, err := http.NewRequest(http.MethodPost, ts.Getenv("URL")+"/tidemark.v1."+args[0], strings.NewReader(args[1]))
	ts.Check(err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(ts.ReadFile("tidemark-data/admin.key")))
	if len(args) > 2 {
		request.Header.Set("Tidemark-User", args[2])
	}
	response, err := http.DefaultClient.Do(request)
	ts.Check(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	ts.Check(err)
	if response.StatusCode != http.StatusOK {
		ts.Fatalf("call: %s", text)
	}
}

func damageInScript(ts *testscript.TestScript, _ bool, args []string) {
	dir := "tidemark-data"
	if len(args) > 1 {
		dir = args[1]
	}
	db, err := store.Open(store.Config{Dir: ts.MkAbs(dir), MustExist: true})
	ts.Check(err)
	number := tidemark.PartitionOfConversation(tidemark.ConversationID(args[0]), db.Meta().Partitions)
	p := db.Partition(number)
	state, err := p.State()
	ts.Check(err)
	info, err := p.Conversation(tidemark.ConversationID(args[0]))
	ts.Check(err)
	head, err := p.Head(info.Ordinal)
	ts.Check(err)
	head.Digest[0] ^= 1
	batch := db.NewBatch(number)
	batch.Put(&record.Changes{Partition: state, Heads: []record.HeadChange{{Conversation: info.Ordinal, Head: head}}})
	ts.Check(db.Commit(batch))
	ts.Check(db.Close())
}
