// SPDX-License-Identifier: Apache-2.0

// tidemark bench disk: what a message takes on disk, everything included: its row, its indexes, the chain, the rows of
// commits, users, conversations, logs and keys. Messages are sent as the Go SDK sends them, with client ids as long as
// its own, and say what people say: a row of x's would be compressed to nothing.

package bench

import (
	"context"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// DiskConfig describes [Disk]. Zero values mean the defaults.
type DiskConfig struct {
	Messages    int    // 200,000
	Connections int    // over which they are sent, each a conversation: 64
	Window      int    // messages in flight of each: 32
	Payload     int    // bytes of text, put together of what is said in the logs; 0: messages as they are in them
	IRC         string // directory of logs; "": made up
	Scratch     string // directory for made-up logs; required
}

const (
	textsMax     = 250_000          // texts held in memory; more messages say them again, in other conversations
	fixedLoadMax = 30 * time.Minute // for a fixed number of messages
)

// Disk fills a server of its own, ends it, compacts its directory, and looks what that takes.
func Disk(ctx context.Context, server ServerConfig, config DiskConfig, output Output) ([]Result, error) {
	config.Messages = orDefault(config.Messages, 200_000)
	config.Connections = min(orDefault(config.Connections, 64), config.Messages)
	config.Window = orDefault(config.Window, 32)
	logs, err := OpenIRC(config.IRC, config.Scratch, config.Messages)
	if err != nil {
		return nil, err
	}
	texts, err := TextsOf(logs, config.Payload, min(config.Messages, textsMax))
	if err != nil {
		return nil, err
	}
	running, err := StartServer(ctx, server)
	if err != nil {
		return nil, err
	}
	defer running.Kill()
	result, err := fillDisk(ctx, &running.Target, config, texts, output)
	if err != nil {
		return nil, err
	}
	if err := running.Stop(time.Minute); err != nil {
		return nil, err
	}
	stopped := diskBytes(server.DataDir)
	output.say("disk: compacting")
	if said, err := exec.CommandContext(ctx, server.Program, "compact", "--data", server.DataDir).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("bench: tidemark compact: %w\n%s", err, said)
	}
	result.DiskBytes = diskBytes(server.DataDir)
	result.DiskBytesPerOp = float64(stopped) / float64(config.Messages)
	result.CompactedBytesPerOp = float64(result.DiskBytes) / float64(config.Messages)
	output.say("disk: verifying what is left")
	if _, err := Verify(ctx, server.Program, server.DataDir); err != nil {
		return []Result{result}, fmt.Errorf("bench: WRONG ANSWER: after compaction: %w", err)
	}
	result.Checked = true
	return []Result{result}, nil
}

// fillDisk sends the messages and reads them back.
func fillDisk(ctx context.Context, target *Target, config DiskConfig, texts []string, output Output) (Result, error) {
	a, machine, err := prepare(ctx, target, output)
	if err != nil {
		return Result{}, err
	}
	defer a.Close()
	senders, err := connectSenders(ctx, a, SendConfig{Connections: config.Connections, Window: config.Window}.withDefaults(), output)
	if err != nil {
		return Result{}, err
	}
	defer closeSenders(senders)
	each := config.Messages / config.Connections
	var said uint64
	for i, s := range senders {
		s.texts, s.named, s.limit = rotated(texts, i*each), randomIDs(uint64(i)), uint64(each)
		if i < config.Messages%config.Connections {
			s.limit++
		}
		for n := range s.limit {
			said += uint64(len(s.textOf(n + 1)))
		}
	}
	measured, err := runFixed(ctx, target, senders, output, "disk", config.Messages)
	if err != nil {
		return Result{}, err
	}
	mean := float64(said) / float64(config.Messages)
	result := Result{
		Name: "disk", Operations: uint64(config.Messages), Events: config.Messages, Connections: config.Connections, Window: config.Window,
		PayloadBytes: int(mean + 0.5), Machine: machine, DurationMs: milliseconds(measured.duration()),
		PerSecond: float64(config.Messages) / measured.duration().Seconds(),
		What:      fmt.Sprintf("%s messages of %.0f bytes, %s", grouped(float64(config.Messages)), mean, config.source()),
	}
	result.latency(latenciesOf(senders))
	result.usage(target, measured.before, measured.after, uint64(config.Messages))
	output.say("disk: checking %s messages", grouped(float64(config.Messages)))
	return result, checkSenders(ctx, a, senders)
}

func (c DiskConfig) source() string {
	text := "made-up IRC text"
	if c.IRC != "" {
		text = "real IRC text"
	}
	if c.Payload > 0 {
		return text + " cut to size"
	}
	return text
}

// rotated is a list that begins at another place.
func rotated(texts []string, by int) []string {
	by %= len(texts)
	return append(append(make([]string, 0, len(texts)), texts[by:]...), texts[:by]...)
}

// randomIDs are client ids as long and as random as the Go SDK's; the same message of the same writer always gets the same.
func randomIDs(writer uint64) func(n uint64) string {
	return func(n uint64) string {
		random := rand.New(rand.NewPCG(writer, n))
		var chance [24]byte
		for i := 0; i < len(chance); i += 8 {
			binary.LittleEndian.PutUint64(chance[i:], random.Uint64())
		}
		return strings.TrimRight(base32.StdEncoding.EncodeToString(chance[:]), "=")[:26]
	}
}

// runFixed lets senders send as many messages as each of them is to.
func runFixed(ctx context.Context, target *Target, senders []*sender, output Output, name string, messages int) (span, error) {
	course := &course{}
	course.phase.Store(int32(measuring))
	group, ctx := errgroup.WithContext(ctx)
	var sending errgroup.Group
	var measured span
	measured.before, _ = target.Usage()
	for _, s := range senders {
		s.course = course
		stop := s.until(ctx, time.Now().Add(fixedLoadMax))
		defer stop()
		sending.Go(s.runClosed)
	}
	done, finished := context.WithCancel(ctx)
	group.Go(func() error {
		defer finished()
		err := sending.Wait()
		measured.after, _ = target.Usage()
		return err
	})
	group.Go(func() error {
		for last := uint64(0); pause(done, time.Second) == nil; {
			now := course.done.Load()
			output.say("%s: %s/s, %s to go", name, grouped(float64(now-last)), grouped(float64(uint64(messages)-now)))
			last = now
		}
		return nil
	})
	return measured, group.Wait()
}

// latenciesOf are those of all senders.
func latenciesOf(senders []*sender) latencies {
	all := newLatencies()
	for _, s := range senders {
		all.Merge(s.latencies.Histogram)
	}
	return all
}
