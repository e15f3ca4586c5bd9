// SPDX-License-Identifier: Apache-2.0

// A run of the kit: the server is asked what it is, then the checks are played beside each other, each in bounded time.

package conformance

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/tidemark-im/tidemark/wire"
)

// Config says what to check. URL and AdminKey must be given.
type Config struct {
	URL      string        // of the server: http://HOST:PORT or https://HOST
	AdminKey string        // with which it believes that the app's back end calls
	Only     []string      // statements ("2.4") and sections ("3") to check; empty: all
	Parallel int           // checks at once, beside those that wait; 0: 8
	Timeout  time.Duration // for one thing that a server must do at once; 0: 10 s
	Patience time.Duration // checks that have to wait longer than this are skipped; 0: 2 min
}

// Outcome of a check.
type Outcome string

// The outcomes.
const (
	OK      Outcome = "ok"
	Failed  Outcome = "FAILED"
	Skipped Outcome = "skipped"
)

// Result of one check.
type Result struct {
	Statement string        `json:"statement"`          // its number in PROTOCOL.md: "2.4"
	What      string        `json:"what"`               // what was checked, a sentence
	Outcome   Outcome       `json:"outcome"`            //
	Expected  string        `json:"expected,omitempty"` // of what failed
	Seen      string        `json:"seen,omitempty"`     // of what failed; of what was skipped, why
	Took      time.Duration `json:"-"`
	TookMs    int64         `json:"tookMs"`
}

// Kit is ready to check one server. It may run several times, one after the other.
type Kit struct {
	config  Config
	chosen  []check
	client  *http.Client
	prefix  string // of all ids that this run makes
	welcome *wire.Welcome
}

// New checks the configuration and asks the server what it is. An error says what keeps the kit from running at all.
func New(ctx context.Context, config Config) (*Kit, error) {
	config.URL = strings.TrimRight(config.URL, "/")
	if u, err := url.Parse(config.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("the URL is %q: it must be like http://127.0.0.1:8080", config.URL)
	}
	config.Parallel = cmp.Or(config.Parallel, 8)
	config.Timeout = cmp.Or(config.Timeout, 10*time.Second)
	config.Patience = cmp.Or(config.Patience, 2*time.Minute)
	chosen, err := choose(config.Only)
	if err != nil {
		return nil, err
	}
	k := &Kit{config: config, chosen: chosen, prefix: "conformance-" + strings.ToLower(rand.Text()[:8])}
	k.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	first := k.play(ctx, check{"", "the server answers", func(p *play) {
		k.welcome = p.connect(p.user("first"), "first").welcome
	}}, 0)
	if first.Outcome != OK {
		return nil, fmt.Errorf("the server at %s cannot be checked: expected %s; seen: %s", config.URL, first.Expected, first.Seen)
	}
	return k, nil
}

// Prefix is what the ids of all users and conversations begin with that the kit makes.
func (k *Kit) Prefix() string { return k.prefix }

// Count is how many checks a run has.
func (k *Kit) Count() int { return len(k.chosen) }

// Run plays the chosen checks and answers their results in the order of their statements. progress is called as each
// ends, by one goroutine at a time; nil: nobody is told. When ctx is done, what has not ended is skipped.
func (k *Kit) Run(ctx context.Context, progress func(Result)) []Result {
	results := make([]Result, len(k.chosen))
	places := semaphore.NewWeighted(int64(k.config.Parallel))
	var told sync.Mutex
	var ended sync.WaitGroup
	for i, c := range k.chosen {
		_ = places.Acquire(context.WithoutCancel(ctx), 1) // every check ends in bounded time, so there will be a place
		ended.Go(func() {
			leave := sync.OnceFunc(func() { places.Release(1) })
			results[i] = k.playIn(ctx, c, i+1, leave)
			leave()
			told.Lock()
			defer told.Unlock()
			if progress != nil {
				progress(results[i])
			}
		})
	}
	ended.Wait()
	k.client.CloseIdleConnections()
	return results
}

// play plays one check, the number-th of its run.
func (k *Kit) play(ctx context.Context, c check, number int) Result {
	return k.playIn(ctx, c, number, func() {})
}

// playIn is play; leave is called when the check begins to wait.
func (k *Kit) playIn(ctx context.Context, c check, number int, leave func()) Result {
	result := Result{Statement: c.statement, What: c.what, Outcome: OK}
	begun := time.Now()
	running, cancel := context.WithTimeout(ctx, checkTimeoutMax)
	defer cancel()
	p := &play{kit: k, ctx: running, number: number, leave: leave}
	var ending *verdict
	if ctx.Err() != nil {
		ending = &verdict{Skipped, "", "the run was interrupted"}
	} else {
		ending = p.run(c)
	}
	if ending != nil {
		result.Outcome, result.Expected, result.Seen = ending.outcome, ending.expected, ending.seen
		if ending.outcome == Failed && errors.Is(ctx.Err(), context.Canceled) {
			result.Outcome, result.Expected, result.Seen = Skipped, "", "the run was interrupted"
		}
	}
	p.clean()
	result.Took = time.Since(begun)
	result.TookMs = result.Took.Milliseconds()
	return result
}

// checkTimeoutMax ends a check that goes on for ever, whatever its parts are allowed.
const checkTimeoutMax = 15 * time.Minute
