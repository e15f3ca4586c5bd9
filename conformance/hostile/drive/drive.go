// SPDX-License-Identifier: Apache-2.0

// Package drive puts the Go SDK through the scenarios of a hostile server, over the driver protocol that SDKs in other
// languages use too (docs/conformance-sdk.md). It is also an example of a driver.
package drive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/conformance/hostile"
)

// Config says what to run. The zero value of a field means its default.
type Config struct {
	URL      string   // of the hostile server; required
	SDK      string   // the name in the table; empty: "go"
	Only     []string // names of scenarios; empty: all
	Parallel int      // scenarios at once; 0: 16
	HTTP     *http.Client
	Result   func(hostile.Result) // called once for each scenario, one at a time; may be nil
}

// every is the time between two reports.
const every = 150 * time.Millisecond

// Run runs the scenarios and returns what came of them, in the order of the server's list. It errs when the server cannot
// be spoken to; scenarios that failed are no error.
func Run(ctx context.Context, cfg Config) ([]hostile.Result, error) {
	if cfg.HTTP == nil {
		cfg.HTTP = &http.Client{Timeout: 30 * time.Second}
	}
	if cfg.SDK == "" {
		cfg.SDK = "go"
	}
	if cfg.Parallel <= 0 {
		cfg.Parallel = 16
	}
	cfg.URL = strings.TrimRight(cfg.URL, "/")
	var list []hostile.Scenario
	if err := cfg.call(ctx, http.MethodGet, "/hostile/scenarios", nil, &list); err != nil {
		return nil, fmt.Errorf("drive: no hostile server answers at %s (tidemark conformance --serve is one): %w", cfg.URL, err)
	}
	list, err := cfg.chosen(list)
	if err != nil {
		return nil, err
	}
	results, errs := make([]hostile.Result, len(list)), make([]error, len(list))
	places := make(chan struct{}, cfg.Parallel)
	var work sync.WaitGroup
	var telling sync.Mutex
	for i := range list {
		places <- struct{}{}
		work.Go(func() {
			defer func() { <-places }()
			results[i], errs[i] = cfg.scenario(ctx, list[i].Name)
			telling.Lock()
			defer telling.Unlock()
			if cfg.Result != nil && errs[i] == nil {
				cfg.Result(results[i])
			}
		})
	}
	work.Wait()
	return results, errors.Join(errs...)
}

// chosen are the scenarios of Only.
func (cfg *Config) chosen(list []hostile.Scenario) (out []hostile.Scenario, err error) {
	if len(cfg.Only) == 0 {
		return list, nil
	}
	known := map[string]hostile.Scenario{}
	for _, sc := range list {
		known[sc.Name] = sc
	}
	for _, name := range cfg.Only {
		sc, ok := known[name]
		if !ok {
			return nil, fmt.Errorf("drive: no scenario %q: %s/hostile/scenarios lists them", name, cfg.URL)
		}
		out = append(out, sc)
	}
	return out, nil
}

// call makes one call of the driver protocol.
func (cfg *Config) call(ctx context.Context, method, path string, request, response any) error {
	var body io.Reader
	if request != nil {
		data, err := json.Marshal(request)
		if err != nil {
			return err
		}
		body = bytes.NewReader(data)
	}
	q, err := http.NewRequestWithContext(ctx, method, cfg.URL+path, body)
	if err != nil {
		return err
	}
	a, err := cfg.HTTP.Do(q)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	data, err := io.ReadAll(io.LimitReader(a.Body, 4<<20))
	if err == nil && a.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, a.Status, bytes.TrimSpace(data))
	}
	if err == nil {
		err = json.Unmarshal(data, response)
	}
	return err
}

// scenario runs one scenario.
func (cfg *Config) scenario(ctx context.Context, name string) (hostile.Result, error) {
	begun := time.Now()
	var run hostile.BeginResponse
	if err := cfg.call(ctx, http.MethodPost, "/hostile/runs", hostile.BeginRequest{Scenario: name, SDK: cfg.SDK}, &run); err != nil {
		return hostile.Result{}, err
	}
	var gadgets []*gadget
	defer func() {
		for _, g := range gadgets {
			g.stop()
		}
	}()
	for _, d := range run.Devices {
		g := &gadget{cfg: cfg, run: run.Run, device: d, url: cfg.URL, store: client.NewMemory()}
		if err := g.start(ctx); err != nil {
			return hostile.Result{}, err
		}
		gadgets = append(gadgets, g)
	}
	report := hostile.Report{}
	for {
		report.Devices = nil
		for _, g := range gadgets {
			d, err := g.report()
			if err != nil {
				return hostile.Result{}, err
			}
			report.Devices = append(report.Devices, d)
		}
		var v hostile.Verdict
		if err := cfg.call(ctx, http.MethodPost, "/hostile/runs/"+run.Run+"/report", report, &v); err != nil {
			return hostile.Result{}, err
		}
		if v.Verdict != hostile.Undecided {
			return hostile.Result{SDK: cfg.SDK, Scenario: name, Verdict: v.Verdict, Reasons: v.Reasons, TookMs: time.Since(begun).Milliseconds()}, nil
		}
		for _, task := range v.Tasks {
			for _, g := range gadgets {
				if g.device.DeviceID != task.DeviceID {
					continue
				}
				if err := g.do(ctx, task); err != nil {
					return hostile.Result{}, fmt.Errorf("drive: %s: task %d: %w", name, task.Number, err)
				}
			}
			report.Tasks = task.Number
		}
		select {
		case <-time.After(every):
		case <-ctx.Done():
			return hostile.Result{}, ctx.Err()
		}
	}
}

// gadget is one device: an app with the SDK.
type gadget struct {
	cfg    *Config
	run    string
	device hostile.Device
	url    string
	store  *client.Memory
	client *client.Client
	end    func() // of this life of the app

	mu        sync.Mutex
	rewritten []hostile.Rewritten // all lives
	stopped   bool
}

// token asks for a new token: the first is in the answer that began the run.
func (g *gadget) token(ctx context.Context) (string, error) {
	var a struct {
		Token string `json:"token"`
	}
	err := g.cfg.call(ctx, http.MethodPost, "/hostile/runs/"+g.run+"/token", map[string]string{"deviceId": g.device.DeviceID}, &a)
	return a.Token, err
}

// start opens the app.
func (g *gadget) start(ctx context.Context) error {
	transport := &http.Transport{}
	c, err := client.New(client.Config{
		URL: g.url, Token: g.token, DeviceID: tidemark.DeviceID(g.device.DeviceID), Store: g.store,
		HTTPClient: &http.Client{Transport: transport},
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	events := c.Events(ctx)
	var work sync.WaitGroup
	work.Go(func() {
		for e := range events {
			if e, ok := e.(client.HistoryChanged); ok {
				g.mu.Lock()
				g.rewritten = append(g.rewritten, hostile.Rewritten{Conversation: string(e.Conversation), From: hostile.Number(e.From), To: hostile.Number(e.To)})
				g.mu.Unlock()
			}
		}
	})
	work.Go(func() {
		err := c.Run(ctx)
		g.mu.Lock()
		g.stopped = err != nil
		g.mu.Unlock()
	})
	g.client = c
	g.end = func() { cancel(); work.Wait(); transport.CloseIdleConnections() }
	return nil
}

// stop closes the app.
func (g *gadget) stop() { g.end() }

// do does a task.
func (g *gadget) do(ctx context.Context, t hostile.Task) error {
	in := tidemark.ConversationID(t.Conversation)
	switch t.Do {
	case "send":
		_, err := g.client.Send(ctx, in, t.Text)
		return err
	case "read":
		if c, ok := g.client.Conversation(in); ok {
			return g.client.MarkRead(ctx, in, c.HeadSeq)
		}
		return nil
	case "restart":
		g.stop()
		return g.start(ctx)
	}
	return fmt.Errorf("there is no task %q", t.Do)
}

// report is what the app shows now.
func (g *gadget) report() (hostile.DeviceReport, error) {
	g.mu.Lock()
	d := hostile.DeviceReport{DeviceID: g.device.DeviceID, Stopped: g.stopped, Rewritten: append([]hostile.Rewritten(nil), g.rewritten...)}
	g.mu.Unlock()
	for _, o := range g.client.Outbox() {
		pending := hostile.Pending{Conversation: string(o.Conversation), ClientID: string(o.ClientID), State: o.State.String()}
		for _, m := range g.client.Pending(o.Conversation) {
			if m.ClientID == o.ClientID {
				pending.Text = m.Text()
			}
		}
		d.Outbox = append(d.Outbox, pending)
	}
	for _, c := range g.client.Conversations() {
		shown := hostile.Shown{ID: string(c.ID)}
		list, err := g.client.Messages(c.ID, 1, c.Tail())
		if err != nil {
			return d, err
		}
		for i := range list {
			shown.Events = append(shown.Events, hostile.ShownEvent{Seq: hostile.Number(list[i].Seq), ID: hostile.Number(list[i].ID), Text: list[i].Text()})
		}
		for _, gap := range c.Gaps() {
			shown.Gaps = append(shown.Gaps, hostile.Range{From: hostile.Number(gap.From), To: hostile.Number(gap.To)})
		}
		d.Conversations = append(d.Conversations, shown)
	}
	return d, nil
}
