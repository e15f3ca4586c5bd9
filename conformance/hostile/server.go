// SPDX-License-Identifier: Apache-2.0

// The server: the driver protocol over HTTP, and the way in for the WebSockets of devices.

package hostile

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

// Bounds of the server.
const (
	runsMax      = 128   // at once; the next is refused
	decidedMax   = 1_000 // runs that are over and still remembered, so that their verdict can be asked for again
	resultsMax   = 2_000
	openMax      = 8 // connections of a run at once
	reportMax    = 4 << 20
	helloMax     = 10 * time.Second
	afterMax     = time.Minute // a run is forgotten this long after its time
	shutdownTime = 5 * time.Second
)

// Server is a hostile server. Use [New] and [Server.Run].
type Server struct {
	listener net.Listener
	url      string
	work     sync.WaitGroup // connections and scripts
	ctx      context.Context
	cancel   context.CancelFunc

	mu      sync.Mutex
	runs    map[string]*run
	tokens  map[string]*device
	results []Result
	issued  int
	open    map[string]int // connections of a run; 0 is not kept
}

// Result is one row of the table.
type Result struct {
	SDK      string   `json:"sdk"`
	Scenario string   `json:"scenario"`
	Verdict  string   `json:"verdict"`
	Reasons  []string `json:"reasons"`
	TookMs   int64    `json:"tookMs"`
}

// New listens on an address, such as 127.0.0.1:8088; port 0 is any that is free.
func New(ctx context.Context, address string) (*Server, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("hostile: %w", err)
	}
	s := &Server{listener: listener, url: "http://" + listener.Addr().String(), runs: map[string]*run{}, tokens: map[string]*device{}, open: map[string]int{}}
	s.ctx, s.cancel = context.WithCancel(ctx)
	return s, nil
}

// URL is where the server is: for drivers and for devices.
func (s *Server) URL() string { return s.url }

// Run serves until ctx ends, and returns when everything has come to its end.
func (s *Server) Run(ctx context.Context) error {
	h := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second}
	done := make(chan error, 1)
	go func() { done <- h.Serve(s.listener) }()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
	}
	s.cancel()
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	_ = h.Shutdown(stopping)
	_ = h.Close()
	s.work.Wait()
	if errors.Is(err, http.ErrServerClosed) || ctx.Err() != nil {
		return nil
	}
	return err
}

func (s *Server) handler() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /v1/connect", s.connect)
	m.HandleFunc("GET /hostile/scenarios", func(w http.ResponseWriter, _ *http.Request) { answer(w, Scenarios()) })
	m.HandleFunc("POST /hostile/runs", s.begin)
	m.HandleFunc("POST /hostile/runs/{run}/report", s.report)
	m.HandleFunc("POST /hostile/runs/{run}/token", s.token)
	m.HandleFunc("GET /hostile/results", s.table)
	s.services(m)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Allow-Headers", "*")
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		m.ServeHTTP(w, r)
	})
}

// Scenarios are all, in the order of the table.
func Scenarios() []Scenario {
	list := make([]Scenario, 0, len(scenarios))
	for i := range scenarios {
		list = append(list, scenarios[i].row())
	}
	return list
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(v)
}

func refuse(w http.ResponseWriter, status int, format string, args ...any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": fmt.Sprintf(format, args...)})
}

// read decodes a request; false: it has been refused.
func read(w http.ResponseWriter, r *http.Request, into any) bool {
	decoder := json.NewDecoder(io.LimitReader(r.Body, reportMax))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		refuse(w, http.StatusBadRequest, "the request is no such message: %v", err)
		return false
	}
	return true
}

// begin begins a run.
func (s *Server) begin(w http.ResponseWriter, r *http.Request) {
	var q BeginRequest
	if !read(w, r, &q) {
		return
	}
	i := slices.IndexFunc(scenarios, func(sc scenario) bool { return sc.name == q.Scenario })
	if i < 0 || len(q.SDK) > 64 {
		refuse(w, http.StatusBadRequest, "scenario %q: see GET /hostile/scenarios; sdk: at most 64 bytes", q.Scenario)
		return
	}
	a, running := s.newRun(&scenarios[i], q.SDK)
	if a == nil {
		refuse(w, http.StatusTooManyRequests, "%d runs are under way: try again later", running)
		return
	}
	a.URL = "http://" + cmp.Or(r.Host, s.listener.Addr().String())
	answer(w, a)
}

// newRun begins a run, or answers nil and how many are under way.
func (s *Server) newRun(sc *scenario, sdk string) (a *BeginResponse, running int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.forget(); n >= runsMax || len(s.runs) >= runsMax+decidedMax || s.ctx.Err() != nil {
		return nil, n
	}
	id := strings.ToLower(rand.Text()[:10])
	run := newRun(id, sc, sdk, func() string { s.issued++; return issue(id, s.issued) })
	s.runs[id] = run
	a = &BeginResponse{Run: id, LimitMs: sc.time().Milliseconds()}
	for _, d := range run.devices {
		s.tokens[d.tokens[0]] = d
		a.Devices = append(a.Devices, Device{DeviceID: d.id, User: d.user, Token: d.tokens[0]})
	}
	s.work.Go(func() { run.play(s.ctx) })
	return a, 0
}

// issue makes a token. It has the form of a JWT, for SDKs that look into it; its signature is of nobody.
func issue(run string, number int) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." +
		encode(fmt.Appendf(nil, `{"sub":"alice","iat":%d,"exp":4102444800,"jti":"%s-%d"}`, time.Now().Unix(), run, number)) + "." +
		encode([]byte(rand.Text()))
}

// forget drops runs that are long over, and answers how many are under way. A run that nobody finished counts as failed. The
// lock is held.
func (s *Server) forget() (open int) {
	for id, r := range s.runs {
		r.mu.Lock()
		if r.verdict == "" && time.Now().After(r.deadline.Add(afterMax)) {
			r.decide(Failed, []string{"no report came before the time was over"})
			s.keep(r)
		}
		over := r.verdict != "" && time.Since(r.decidedAt) > afterMax
		if r.verdict == "" {
			open++
		}
		if over {
			for _, d := range r.devices {
				for _, token := range d.tokens {
					delete(s.tokens, token)
				}
			}
		}
		r.mu.Unlock()
		if over {
			delete(s.runs, id)
		}
	}
	return open
}

// keep adds a row to the table, and ends the connections of the run. Both locks are held.
func (s *Server) keep(r *run) {
	for _, ss := range r.sessions() {
		ss.cut()
	}
	s.results = append(s.results, Result{SDK: r.sdk, Scenario: r.scenario.name, Verdict: r.verdict, Reasons: r.reasons, TookMs: time.Since(r.begun).Milliseconds()})
	s.results = s.results[max(0, len(s.results)-resultsMax):]
}

// report takes a report and answers the verdict.
func (s *Server) report(w http.ResponseWriter, r *http.Request) {
	var q Report
	if !read(w, r, &q) {
		return
	}
	var v Verdict
	known := s.within(r.PathValue("run"), func(run *run) {
		open := run.verdict == ""
		v = run.judge(&q)
		if open && run.verdict != "" {
			s.keep(run)
		}
	})
	if !known {
		refuse(w, http.StatusNotFound, "no run %q: it may have been forgotten", r.PathValue("run"))
		return
	}
	answer(w, v)
}

// within does something with a run under both locks, under which nothing is written to a network; false: there is no such run.
func (s *Server) within(id string, do func(*run)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	run := s.runs[id]
	if run == nil {
		return false
	}
	run.mu.Lock()
	defer run.mu.Unlock()
	do(run)
	return true
}

// token gives a device a new token: for an SDK that is told that its own has expired.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	var q struct {
		DeviceID string `json:"deviceId"`
	}
	if !read(w, r, &q) {
		return
	}
	token := ""
	known := s.within(r.PathValue("run"), func(run *run) {
		i := slices.IndexFunc(run.devices, func(d *device) bool { return d.id == q.DeviceID })
		if i < 0 || len(run.devices[i].tokens) >= connectsMax {
			return
		}
		d := run.devices[i]
		token = d.tokens[len(d.tokens)-1]
		if d.revoked[token] {
			s.issued++
			token = issue(run.id, s.issued)
			d.tokens = append(d.tokens, token)
			s.tokens[token] = d
		}
	})
	switch {
	case !known:
		refuse(w, http.StatusNotFound, "no run %q: it may have been forgotten", r.PathValue("run"))
	case token == "":
		refuse(w, http.StatusBadRequest, "device %q: give one of the run's; a device has at most %d tokens", q.DeviceID, connectsMax)
	default:
		answer(w, map[string]string{"token": token})
	}
}

// table answers what was found: as JSON, or with ?format=text as a table.
func (s *Server) table(w http.ResponseWriter, r *http.Request) {
	sdk := r.URL.Query().Get("sdk")
	s.mu.Lock()
	rows := slices.DeleteFunc(slices.Clone(s.results), func(x Result) bool { return sdk != "" && x.SDK != sdk })
	s.mu.Unlock()
	if r.URL.Query().Get("format") == "text" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		WriteTable(w, rows)
		return
	}
	answer(w, rows)
}

// WriteTable writes results for people: a row each, with the reasons of what failed, and the sums.
func WriteTable(w io.Writer, rows []Result) {
	passed := 0
	for _, x := range rows {
		fmt.Fprintf(w, "%-5s %-30s %6.1f s  %s\n", x.Verdict, x.Scenario, float64(x.TookMs)/1000, x.SDK)
		for _, reason := range x.Reasons {
			fmt.Fprintf(w, "        %s\n", reason)
		}
		if x.Verdict == Passed {
			passed++
		}
	}
	fmt.Fprintf(w, "%d of %d passed\n", passed, len(rows))
}

// hijacked keeps hold of the socket below a WebSocket.
type hijacked struct {
	http.ResponseWriter
	socket net.Conn
}

// Hijack implements [http.Hijacker].
func (h *hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	hijacker, ok := h.ResponseWriter.(http.Hijacker)
	if !ok {
		return nil, nil, errors.New("hostile: the connection cannot be taken over")
	}
	socket, rw, err := hijacker.Hijack()
	h.socket = socket
	return socket, rw, err
}

// connect is the life of one WebSocket.
func (s *Server) connect(w http.ResponseWriter, r *http.Request) {
	s.work.Add(1) // nobody else waits for a connection that was taken over
	defer s.work.Done()
	h := &hijacked{ResponseWriter: w}
	conn, err := websocket.Accept(h, r, &websocket.AcceptOptions{
		Subprotocols: []string{wire.SubprotocolProto, wire.SubprotocolJSON}, InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		return
	}
	defer conn.CloseNow()
	format, ok := wire.FormatOf(conn.Subprotocol())
	if !ok {
		_ = conn.Close(websocket.StatusPolicyViolation, "offer "+wire.SubprotocolProto+" or "+wire.SubprotocolJSON)
		return
	}
	conn.SetReadLimit(2 * frameBytesMax)
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	ss := &session{format: format, conn: conn, socket: h.socket, answers: map[string]bool{}, wake: make(chan struct{}, 1)}
	hello, err := s.hello(ctx, ss)
	if err != nil {
		return
	}
	if refusal := s.enter(ss, hello, r.Header.Get("Authorization")); refusal != nil {
		ss.farewell(ctx, refusal)
		return
	}
	defer s.leave(ss)
	var writing sync.WaitGroup
	writing.Go(func() { ss.write(ctx) })
	defer writing.Wait()
	defer cancel()
	ss.handle(&wire.ClientFrame{Frame: &wire.ClientFrame_Hello{Hello: hello}})
	for {
		_, data, err := conn.Read(ctx)
		if err != nil {
			return
		}
		f, err := wire.DecodeClientFrame(format, data)
		if err != nil {
			ss.undecoded(err)
			return
		}
		ss.handle(f)
	}
}

// undecoded notes a frame that cannot be decoded. Where this side is closing the connection, a part of one is no fault.
func (ss *session) undecoded(err error) {
	ss.run.mu.Lock()
	defer ss.run.mu.Unlock()
	if !ss.closed {
		ss.device.violation("sent a frame that cannot be decoded: %v", err)
	}
}

// handle takes in one frame.
func (ss *session) handle(f *wire.ClientFrame) {
	r := ss.run
	r.mu.Lock()
	defer r.mu.Unlock()
	ss.device.heard = time.Now()
	ss.receive(f)
	r.poke()
}

// hello reads the first frame.
func (s *Server) hello(ctx context.Context, ss *session) (*wire.Hello, error) {
	ctx, cancel := context.WithTimeout(ctx, helloMax)
	defer cancel()
	_, data, err := ss.conn.Read(ctx)
	if err != nil {
		return nil, err
	}
	f, err := wire.DecodeClientFrame(ss.format, data)
	if err == nil && f.GetHello() == nil {
		err = errors.New("hostile: the first frame is not hello")
	}
	return f.GetHello(), err
}

// enter finds whose connection it is, or why it is refused.
func (s *Server) enter(ss *session, hello *wire.Hello, header string) *tidemark.Error {
	token := cmp.Or(hello.Token, strings.TrimPrefix(header, "Bearer "))
	hello.Token = token
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.tokens[token]
	if d == nil {
		return tidemark.Refuse(tidemark.BadToken, "this token is of no run")
	}
	r := d.run
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.verdict != "" || s.open[r.id] >= openMax || !d.connected(hello) {
		return tidemark.Refuse(tidemark.Unavailable, "the run is over, or has too many connections")
	}
	if hello.DeviceId != d.id {
		d.violation("said hello as device %q", hello.DeviceId)
	}
	if d.revoked[token] {
		return tidemark.Refuse(tidemark.BadToken, "the token has expired")
	}
	ss.run, ss.device, ss.hello, ss.number = r, d, hello, len(d.connects)
	d.session = ss
	s.open[r.id]++
	return nil
}

// farewell refuses a hello.
func (ss *session) farewell(ctx context.Context, e *tidemark.Error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for _, f := range []*wire.ServerFrame{wire.ErrorFrame(0, e), {Frame: &wire.ServerFrame_Bye{Bye: &wire.Bye{Reason: wire.ByeReason_PROTOCOL, Message: e.Message}}}} {
		kind := websocket.MessageBinary
		if ss.format == wire.JSON {
			kind = websocket.MessageText
		}
		if data, err := wire.AppendServerFrame(nil, ss.format, f); err == nil {
			_ = ss.conn.Write(ctx, kind, data)
		}
	}
	_ = ss.conn.Close(websocket.StatusPolicyViolation, "")
}

// leave notes that a connection is over.
func (s *Server) leave(ss *session) {
	s.mu.Lock()
	if s.open[ss.run.id]--; s.open[ss.run.id] <= 0 {
		delete(s.open, ss.run.id)
	}
	s.mu.Unlock()
	ss.run.mu.Lock()
	defer ss.run.mu.Unlock()
	ss.closed = true
	ss.device.left(ss)
}
