// SPDX-License-Identifier: Apache-2.0

// tidemark bench history: pages of one long conversation, from random places.

package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tidemark-im/tidemark/wire"
)

// HistoryConfig describes [History]. Zero values mean the defaults.
type HistoryConfig struct {
	Events      int           // in the conversation: 100,000
	Page        int           // events of a page: 50
	Connections int           // each with one request at a time: 16
	Payload     int           // bytes of text: 100
	Duration    time.Duration // measured: 10 s
	WarmUp      time.Duration // before: 2 s
}

// importBatch is how many events one call of Import makes.
const importBatch = 2000

// History measures reading pages of history. The conversation is filled by Import, whose rate is a result too.
func History(ctx context.Context, target *Target, config HistoryConfig, output Output) ([]Result, error) {
	config.Events = orDefault(config.Events, 100_000)
	config.Page = orDefault(config.Page, 50)
	config.Connections = orDefault(config.Connections, 16)
	config.Payload = orDefault(config.Payload, 100)
	config.Duration = orDefault(config.Duration, 10*time.Second)
	config.WarmUp = orDefault(config.WarmUp, 2*time.Second)
	a, machine, err := prepare(ctx, target, output)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	users, err := a.makeUsers(ctx, "h", 1)
	if err != nil {
		return nil, err
	}
	conversation := a.id("long", 0)
	if err := a.MakeGroup(ctx, conversation, users[0].User); err != nil {
		return nil, err
	}
	filled, err := fill(ctx, target, a, config, users[0], conversation, output)
	if err != nil {
		return nil, err
	}
	filled.Machine = machine
	read, err := readPages(ctx, target, a, config, users[0], conversation, output)
	read.Machine = machine
	return []Result{filled, read}, err
}

// fill imports the conversation's events.
func fill(ctx context.Context, target *Target, a *App, config HistoryConfig, writer Member, conversation string, output Output) (Result, error) {
	output.say("history: importing %s events", grouped(float64(config.Events)))
	text := strings.Repeat("x", config.Payload)
	diskBefore := target.disk()
	var measured span
	measured.before, _ = target.Usage()
	times := newLatencies()
	for done := 0; done < config.Events; {
		request := &wire.ImportRequest{Conversation: conversation}
		for range min(importBatch, config.Events-done) {
			done++
			request.Entries = append(request.Entries, importEntry(done, writer.User, text))
		}
		begin := time.Now()
		if err := a.importAll(ctx, request); err != nil {
			return Result{}, err
		}
		times.record(time.Since(begin))
	}
	measured.after, _ = target.Usage()
	result := Result{
		Name: "fill", Events: config.Events, What: fmt.Sprintf("%s events by AdminService/Import, %s a call", grouped(float64(config.Events)), grouped(importBatch)), Operations: uint64(config.Events),
		PerSecond: float64(config.Events) / measured.duration().Seconds(), DurationMs: milliseconds(measured.duration()), PayloadBytes: config.Payload,
		Checked: true,
	}
	result.latency(times)
	result.usage(target, measured.before, measured.after, uint64(config.Events))
	if result.DiskBytes = target.disk(); result.DiskBytes > diskBefore {
		result.DiskBytesPerOp = float64(result.DiskBytes-diskBefore) / float64(config.Events)
	}
	return result, nil
}

// readPages fetches random pages until the time is over.
func readPages(ctx context.Context, target *Target, a *App, config HistoryConfig, m Member, conversation string, output Output) (Result, error) {
	conns := make([]*conn, config.Connections)
	defer closeAll(conns)
	for i := range conns {
		c, err := connectSynced(ctx, dialConfig{address: a.address, token: m.Token, device: fmt.Sprint("reader", i)})
		if err != nil {
			return Result{}, err
		}
		conns[i] = c
	}
	result := Result{
		Name: "history", Events: config.Events, Connections: config.Connections, PayloadBytes: config.Payload,
		What: fmt.Sprintf("pages of %d from %s events, %d connections", config.Page, grouped(float64(config.Events)), config.Connections),
	}
	course := &course{}
	readers := make([]*pageReader, len(conns))
	group, groupCtx := errgroup.WithContext(ctx)
	for i, c := range conns {
		_ = c.net.SetDeadline(time.Now().Add(config.WarmUp + config.Duration + drainMax))
		readers[i] = &pageReader{conn: c, course: course, config: config, conversation: conversation, random: rand.New(rand.NewPCG(1, uint64(i))), latencies: newLatencies()}
		group.Go(readers[i].run)
	}
	var measured span
	group.Go(func() (err error) {
		measured, err = course.watch(groupCtx, target, output, "history", config.WarmUp, config.Duration)
		return err
	})
	if err := group.Wait(); err != nil {
		return result, err
	}
	all := newLatencies()
	for _, r := range readers {
		all.Merge(r.latencies.Histogram)
		result.Operations += r.counted
	}
	result.latency(all)
	result.usage(target, measured.before, measured.after, result.Operations)
	result.PerSecond = float64(result.Operations) / measured.duration().Seconds()
	result.DurationMs = milliseconds(measured.duration())
	result.DiskBytes, result.Checked = target.disk(), true
	return result, nil
}

// pageReader is one connection that reads pages, one at a time.
type pageReader struct {
	*conn
	course       *course
	config       HistoryConfig
	conversation string
	random       *rand.Rand
	counted      uint64
	latencies
}

func (p *pageReader) run() error {
	for request := uint64(1); p.course.now() != stopping; request++ {
		// Event 1 created the conversation, the imported one with client id n is event n+1.
		before := uint64(2+p.config.Page) + p.random.Uint64N(uint64(max(1, p.config.Events-p.config.Page)))
		begin := time.Now()
		page, err := p.fetchBefore(request, before)
		if err != nil {
			return err
		}
		if len(page.Events) != p.config.Page {
			return fmt.Errorf("bench: WRONG ANSWER: a page of %d events before %d, want %d", len(page.Events), before, p.config.Page)
		}
		for i, event := range page.Events {
			want := before - uint64(p.config.Page-i)
			if event.Seq != want || event.ClientId != clientIDOf(want-1) {
				return fmt.Errorf("bench: WRONG ANSWER: seq %d (%s) where %d should be", event.Seq, event.ClientId, want)
			}
		}
		p.course.done.Add(1)
		if p.course.now() == measuring {
			p.counted++
			p.record(time.Since(begin))
		}
	}
	return nil
}

func (p *pageReader) fetchBefore(request, before uint64) (*wire.Fetched, error) {
	return p.fetch(&wire.Fetch{
		Request: request, Conversation: p.conversation, From: &wire.Fetch_Before{Before: before}, Limit: uint32(p.config.Page),
	})
}
