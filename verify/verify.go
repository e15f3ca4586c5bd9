// SPDX-License-Identifier: Apache-2.0

// Run: all partitions, several at once.

package verify

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/tidemark-im/tidemark/store"
)

const defaultDamagesMax = 100

// Config says what to check.
type Config struct {
	Dir        string         // the data directory; opened read-only
	DB         *store.DB      // instead of Dir: an open store that nobody writes to
	DamagesMax int            // so many damages of each partition are described; 0: 100
	Progress   func(Progress) // called now and then, by one goroutine at a time; nil: not
}

// Progress is how far a check has come.
type Progress struct {
	Partitions uint32 // how many there are
	Done       uint32 // how many are checked
	Counts     Counts // over all partitions
}

// Run checks a data directory. The error says that it could not be read, or that ctx has ended; damage is in the report.
func Run(ctx context.Context, cfg Config) (report Report, err error) {
	db := cfg.DB
	if db == nil {
		if db, err = store.Open(store.Config{Dir: cfg.Dir, ReadOnly: true}); err != nil {
			return Report{}, fmt.Errorf("verify: %w", err)
		}
		defer func() { err = errors.Join(err, db.Close()) }()
	}
	if cfg.DamagesMax == 0 {
		cfg.DamagesMax = defaultDamagesMax
	}
	told := &teller{progress: cfg.Progress, now: Progress{Partitions: db.Meta().Partitions}}
	checkers := make([]*checker, db.Meta().Partitions)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for n := range checkers {
		checkers[n] = newChecker(ctx, db, uint32(n), cfg.DamagesMax, told)
		group.Go(checkers[n].run)
	}
	if err := group.Wait(); err != nil {
		return Report{}, fmt.Errorf("verify: %w", err)
	}
	report = Report{Meta: db.Meta()}
	for _, c := range checkers {
		report.Counts.add(c.counts)
		report.Damages = append(report.Damages, c.damages...)
		report.Undescribed += c.undescribed
	}
	return report, report.addStray(db)
}

// addStray reports a row of no known partition or kind.
func (r *Report) addStray(db *store.DB) error {
	key, err := db.Stray()
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	if key != nil {
		r.Damages = append(r.Damages, Damage{
			Partition: uint32(key[0]), What: "key of no known partition or kind", Found: fmt.Sprintf("%x", key), Expected: "none",
		})
	}
	return nil
}

// teller sums progress up.
type teller struct {
	progress func(Progress)
	mu       sync.Mutex
	now      Progress
}

// tell adds what one partition has counted since it last told.
func (t *teller) tell(since Counts, done bool) {
	if t.progress == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now.Counts.add(since)
	if done {
		t.now.Done++
	}
	t.progress(t.now)
}
