// SPDX-License-Identifier: Apache-2.0

// What is to be fetched without being asked: conversations with gaps or a doubt, a few in flight, the others waiting.

package replica

import tidemark "github.com/tidemark-im/tidemark"

// Waiting times, ms.
const (
	countAgainMs = 2_000   // reactions are counted again at most this often
	graceMs      = 500     // the end of a live conversation may still be on its way
	retryFirstMs = 1_000   // after a failure; doubles
	retryMaxMs   = 300_000 // up to this
)

// tasks holds at most one task for each conversation. A task is flying (a page is asked for), in ready, or waits for its
// time.
type tasks struct {
	byID   map[tidemark.ConversationID]*task
	ready  []tidemark.ConversationID // in order of being wanted
	flying int
}

// task is what one conversation needs.
type task struct {
	flying      bool
	queued      bool
	notBeforeMs uint64
	failures    uint // in a row
	doubts      uint // since the replica was loaded
	latest      bool // its end is wanted although nothing is stored
	search      *search
}

func newTasks() tasks { return tasks{byID: map[tidemark.ConversationID]*task{}} }

// of is the task of a conversation, made when there is none.
func (t *tasks) of(id tidemark.ConversationID) *task {
	k := t.byID[id]
	if k == nil {
		k = &task{}
		t.byID[id] = k
	}
	return k
}

// want asks for a conversation to be looked at, not before a time. A task that waits after a failure goes on waiting.
func (t *tasks) want(id tidemark.ConversationID, atMs, nowMs uint64) {
	k := t.of(id)
	switch {
	case k.flying || k.queued || k.notBeforeMs > 0 && k.failures > 0:
	case atMs <= nowMs:
		t.queue(id, k)
	case k.notBeforeMs == 0 || atMs < k.notBeforeMs:
		k.notBeforeMs = atMs
	}
}

func (t *tasks) queue(id tidemark.ConversationID, k *task) {
	k.queued, k.notBeforeMs = true, 0
	t.ready = append(t.ready, id)
}

// later makes a task wait after a failure: at least atLeastMs, and longer each time.
func (t *tasks) later(id tidemark.ConversationID, nowMs, atLeastMs uint64) {
	k := t.of(id)
	k.notBeforeMs = nowMs + max(atLeastMs, backoffMs(k.failures))
	k.failures++
}

// backoffMs is how long to wait after a number of failures in a row.
func backoffMs(failures uint) uint64 { return min(uint64(retryFirstMs)<<min(failures, 20), retryMaxMs) }

// rewind says that the connection broke: no page will come, and what searches found was of that server.
func (t *tasks) rewind() {
	t.flying = 0
	for _, k := range t.byID {
		k.flying, k.search = false, nil
	}
}

// astray says that stored events are gone: what a search has found of segments is not so any more, and it begins anew.
func (t *tasks) astray(id tidemark.ConversationID) {
	if k := t.byID[id]; k != nil {
		k.search = nil
	}
}

// release says that a task's page came.
func (t *tasks) release(id tidemark.ConversationID) {
	if k := t.byID[id]; k != nil && k.flying {
		k.flying = false
		t.flying--
	}
}

// forget drops a task that is not flying, except for what it remembers of doubts.
func (t *tasks) forget(id tidemark.ConversationID) {
	k := t.byID[id]
	switch {
	case k == nil || k.flying:
	case k.doubts > 0:
		k.search, k.latest, k.failures, k.notBeforeMs = nil, false, 0, 0
	default:
		delete(t.byID, id) // if queued, next finds nothing
	}
}

// next takes the first ready task; ok is false when there is none.
func (t *tasks) next() (id tidemark.ConversationID, k *task, ok bool) {
	for len(t.ready) > 0 {
		id, t.ready = t.ready[0], t.ready[1:]
		if k := t.byID[id]; k != nil && k.queued {
			k.queued = false
			return id, k, true
		}
	}
	t.ready = nil
	return "", nil, false
}

// due queues the tasks whose time has come.
func (t *tasks) due(nowMs uint64) {
	if at := t.dueMs(); at == 0 || at > nowMs {
		return
	}
	for _, id := range sortedKeys(t.byID) {
		if k := t.byID[id]; k.notBeforeMs > 0 && k.notBeforeMs <= nowMs && !k.flying && !k.queued {
			t.queue(id, k)
		}
	}
}

// dueMs is when the next waiting task may go; 0: none waits.
func (t *tasks) dueMs() (at uint64) {
	for _, k := range t.byID {
		if k.notBeforeMs > 0 && (at == 0 || k.notBeforeMs < at) {
			at = k.notBeforeMs
		}
	}
	return at
}
