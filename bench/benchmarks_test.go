// SPDX-License-Identifier: Apache-2.0

// Every benchmark against the real server, small: that they run, that they find the server's answers right, and that what
// they report is plausible. How fast the machine is does not matter here.

package bench

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

func TestBenchmarksAgainstTheServer(t *testing.T) {
	program := filepath.Join(t.TempDir(), "tidemark")
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", program, "../cmd/tidemark")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the server: %v\n%s", err, output)
	}
	server, err := StartServer(t.Context(), ServerConfig{Program: program, DataDir: t.TempDir(), Args: []string{"--log-level", "warn"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Stop(30 * time.Second); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the server's last words:\n%s", server.Log())
		}
	}()
	for name, run := range withOwnServers(t, program) {
		t.Run(name, func(t *testing.T) {
			results, err := run()
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range results {
				if !r.Checked || r.Operations == 0 || r.PerSecond <= 0 && r.P50Ms <= 0 || r.DiskBytes == 0 || r.Machine.EchoPerSecond == 0 {
					t.Errorf("implausible: %+v", r)
				}
			}
			if len(results) == 0 {
				t.Fatal("no results")
			}
		})
	}
	for name, run := range small(t, &server.Target) {
		t.Run(name, func(t *testing.T) {
			results, err := run()
			if err != nil {
				t.Fatal(err)
			}
			if len(results) == 0 {
				t.Fatal("no results")
			}
			for _, r := range results {
				if r.Checked && r.Name == "overload" && r.PayloadBytes == 0 {
					continue // small work, of which a short run has little or none
				}
				if !r.Checked || r.Operations == 0 || r.PerSecond <= 0 || r.P50Ms <= 0 || r.MaxMs < r.P99Ms || r.P99Ms < r.P50Ms || r.Machine.EchoPerSecond == 0 {
					t.Errorf("implausible: %+v", r)
				}
			}
		})
	}
}

// withOwnServers are the benchmarks that start servers themselves, small.
func withOwnServers(t *testing.T, program string) map[string]func() ([]Result, error) {
	short, none := 200*time.Millisecond, time.Millisecond
	server := func() ServerConfig {
		return ServerConfig{Program: program, DataDir: filepath.Join(t.TempDir(), "data"), Args: []string{"--log-level", "warn"}}
	}
	return map[string]func() ([]Result, error){
		"start": func() ([]Result, error) {
			return Start(t.Context(), server(), StartConfig{Events: 500, Conversations: 20, Kills: 2}, Output{})
		},
		"disk": func() ([]Result, error) {
			results, err := Disk(t.Context(), server(), DiskConfig{Messages: 1003, Connections: 5, Payload: 100, Scratch: t.TempDir()}, Output{})
			if err == nil && (results[0].CompactedBytesPerOp < 50 || results[0].CompactedBytesPerOp > 1000) {
				err = fmt.Errorf("%v bytes a message", results[0].CompactedBytesPerOp)
			}
			return results, err
		},
		"members": func() ([]Result, error) {
			config := MembersConfig{Members: 700, Singles: 20, Duration: short, WarmUp: none, Scratch: t.TempDir()}
			results, err := Members(t.Context(), server(), config, Output{})
			if err == nil && (results[0].WrittenBytesPerOp < 100 || results[0].WrittenBytesPerOp > 1000) {
				err = fmt.Errorf("%v bytes written for a message", results[0].WrittenBytesPerOp)
			}
			return results, err
		},
		"import": func() ([]Result, error) {
			return Import(t.Context(), server(), ImportConfig{Lines: 1000, Scratch: t.TempDir()}, Output{})
		},
		"cores": func() ([]Result, error) {
			config := ScaleConfig{Cores: 1, Partitions: 3, Send: SendConfig{Connections: 4, Window: 4, Duration: short, WarmUp: none}}
			return Scale(t.Context(), server(), config, Output{})
		},
	}
}

// small are the benchmarks that need no server of their own, each in a fraction of a second.
func small(t *testing.T, target *Target) map[string]func() ([]Result, error) {
	short, none := 300*time.Millisecond, time.Millisecond
	return map[string]func() ([]Result, error){
		"send": func() ([]Result, error) {
			return Send(t.Context(), target, SendConfig{Connections: 8, Window: 8, Duration: short, WarmUp: none}, Output{})
		},
		"send at a rate": func() ([]Result, error) {
			return Send(t.Context(), target, SendConfig{Connections: 4, Rate: 400, Duration: short, WarmUp: none}, Output{})
		},
		"fanout, one in flight": func() ([]Result, error) {
			return Fanout(t.Context(), target, FanoutConfig{Members: 20, Duration: short, WarmUp: none}, Output{})
		},
		"fanout, many in flight": func() ([]Result, error) {
			return Fanout(t.Context(), target, FanoutConfig{Members: 20, Senders: 3, Window: 16, Duration: short, WarmUp: none}, Output{})
		},
		"room, at a rate": func() ([]Result, error) {
			return Room(t.Context(), target, RoomConfig{Receivers: 20, Senders: 3, Rate: 300, Duration: short, WarmUp: none, Settle: none}, Output{})
		},
		"room, slow ones in it": func() ([]Result, error) {
			config := RoomConfig{Receivers: 20, SlowPercent: 30, LowPercent: 50, Payload: 4000, Duration: short, WarmUp: none, Settle: none}
			return Room(t.Context(), target, config, Output{})
		},
		"idle": func() ([]Result, error) {
			return Idle(t.Context(), target, IdleConfig{Connections: 40, Settle: none, Hold: 50 * time.Millisecond}, Output{})
		},
		"sync": func() ([]Result, error) {
			return Sync(t.Context(), target, SyncConfig{Conversations: []int{5, 130}, Changed: 10, Repeats: 5}, Output{})
		},
		"storm": func() ([]Result, error) {
			return Storm(t.Context(), target, StormConfig{Devices: 30, Conversations: 12, Changed: 3, Rate: 100}, Output{})
		},
		"overload": func() ([]Result, error) {
			config := OverloadConfig{Connections: 4, Window: 8, Duration: 600 * time.Millisecond, WarmUp: none}
			return Overload(t.Context(), target, config, Output{})
		},
		"fairness": func() ([]Result, error) {
			config := FairnessConfig{Connections: 4, Rate: 200, Writers: 2, Window: 16, DeviceRate: 5000, Duration: short, WarmUp: none}
			return Fairness(t.Context(), target, config, Output{})
		},
		"grow": func() ([]Result, error) {
			config := GrowConfig{From: 1000, To: 3000, Points: 2, Conversations: 7, Connections: 3, Duration: short, WarmUp: none, Scratch: t.TempDir()}
			return Grow(t.Context(), target, config, Output{})
		},
		"history": func() ([]Result, error) {
			return History(t.Context(), target, HistoryConfig{Events: 3000, Connections: 3, Duration: short, WarmUp: none}, Output{})
		},
	}
}
