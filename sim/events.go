// SPDX-License-Identifier: Apache-2.0

// What will happen: a queue of events by virtual time, and the clock that moves with it.

package sim

// event is something that happens at a time. Of two at the same time the one that was planned first comes first.
type event struct {
	atMs uint64
	n    uint64
	do   func()
}

// timeline is the events to come, a heap, and the present.
type timeline struct {
	nowMs uint64
	n     uint64
	heap  []event
}

// at plans something; what lies in the past happens next.
func (t *timeline) at(ms uint64, do func()) {
	t.n++
	t.heap = append(t.heap, event{max(ms, t.nowMs), t.n, do})
	for i := len(t.heap) - 1; i > 0; {
		parent := (i - 1) / 2
		if !t.before(i, parent) {
			break
		}
		t.heap[i], t.heap[parent] = t.heap[parent], t.heap[i]
		i = parent
	}
}

// after plans something so many ms from now.
func (t *timeline) after(ms uint64, do func()) { t.at(t.nowMs+ms, do) }

func (t *timeline) before(i, j int) bool {
	a, b := &t.heap[i], &t.heap[j]
	return a.atMs < b.atMs || a.atMs == b.atMs && a.n < b.n
}

// next takes the first event not later than a time, and moves the clock to it; false: there is none.
func (t *timeline) next(untilMs uint64) (do func(), ok bool) {
	if len(t.heap) == 0 || t.heap[0].atMs > untilMs {
		return nil, false
	}
	first := t.heap[0]
	last := len(t.heap) - 1
	t.heap[0] = t.heap[last]
	t.heap[last] = event{}
	t.heap = t.heap[:last]
	for i := 0; ; {
		least, left, right := i, 2*i+1, 2*i+2
		if left < last && t.before(left, least) {
			least = left
		}
		if right < last && t.before(right, least) {
			least = right
		}
		if least == i {
			break
		}
		t.heap[i], t.heap[least] = t.heap[least], t.heap[i]
		i = least
	}
	t.nowMs = first.atMs
	return first.do, true
}
