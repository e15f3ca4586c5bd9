// SPDX-License-Identifier: Apache-2.0

// The queue when it is full: who waits comes in its turn, before one who came later.

package partition

import (
	"context"
	"errors"
	"runtime"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
)

// commandOf is a command by which a test knows a request again.
func commandOf(n int) request { return request{cmd: &core.Read{Seq: tidemark.Seq(n)}} }

func numbersOf(items []request) (numbers []int) {
	for _, r := range items {
		numbers = append(numbers, int(r.cmd.(*core.Read).Seq))
	}
	return numbers
}

// waitingPuts are puts that found the queue full.
type waitingPuts struct {
	q     *queue
	ended []chan error
}

// add starts a put that finds the queue full, and returns when it waits.
func (w *waitingPuts) add(ctx context.Context, n int) {
	before := w.waits()
	w.ended = append(w.ended, make(chan error, 1))
	ended := w.ended[len(w.ended)-1]
	go func() { ended <- w.q.put(ctx, commandOf(n)) }()
	for w.waits() == before {
		runtime.Gosched()
	}
}

func (w *waitingPuts) waits() int {
	w.q.mu.Lock()
	defer w.q.mu.Unlock()
	return len(w.q.waiting)
}

func TestWhoWaitsForRoomComesInTurn(t *testing.T) {
	q := newQueue(2)
	for n := range 2 {
		if err := q.put(t.Context(), commandOf(n)); err != nil {
			t.Fatal(err)
		}
	}
	w := &waitingPuts{q: q}
	leaving, leave := context.WithCancel(t.Context())
	w.add(t.Context(), 2)
	w.add(leaving, 3)
	w.add(t.Context(), 4)
	w.add(t.Context(), 5)
	leave()
	if err := <-w.ended[1]; !errors.Is(err, context.Canceled) {
		t.Errorf("the one who left: %v", err)
	}
	if q.offer(commandOf(6)) {
		t.Error("an offer overtook those who wait")
	}
	var got []int
	got = append(got, numbersOf(q.take(nil, 1))...)
	if err := <-w.ended[0]; err != nil {
		t.Errorf("the first to wait: %v", err)
	}
	got = append(got, numbersOf(q.take(nil, 2))...)
	if err := errors.Join(<-w.ended[2], <-w.ended[3]); err != nil {
		t.Error(err)
	}
	got = append(got, numbersOf(q.take(nil, 9))...)
	for i, want := range []int{0, 1, 2, 4, 5} {
		if i >= len(got) || got[i] != want {
			t.Fatalf("taken in the order %v", got)
		}
	}
	if !q.offer(commandOf(7)) {
		t.Error("there is room, and an offer was refused")
	}
}

func TestWhoWaitsForRoomIsToldOfTheEnd(t *testing.T) {
	q := newQueue(1)
	if err := q.put(t.Context(), commandOf(0)); err != nil {
		t.Fatal(err)
	}
	w := &waitingPuts{q: q}
	w.add(t.Context(), 1)
	q.close()
	if err := <-w.ended[0]; !errors.Is(err, errClosed) {
		t.Errorf("got %v", err)
	}
	if err := q.put(t.Context(), commandOf(2)); !errors.Is(err, errClosed) {
		t.Errorf("after the end: %v", err)
	}
}
