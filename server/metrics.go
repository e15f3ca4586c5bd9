// SPDX-License-Identifier: Apache-2.0

// The figures for Prometheus: what is counted as it happens, and what the parts have counted themselves.

package server

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tidemark-im/tidemark/gateway"
	"github.com/tidemark-im/tidemark/journal"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/store"
)

// metrics has a registry of its own, so that two servers in one process do not meet.
type metrics struct {
	server        *Server
	registry      *prometheus.Registry
	commitSeconds prometheus.Histogram
	batchBytes    prometheus.Histogram
	commitsFailed prometheus.Counter
	callSeconds   *prometheus.HistogramVec
}

func newMetrics(s *Server) *metrics {
	m := &metrics{
		server: s, registry: prometheus.NewRegistry(),
		commitSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "tidemark_commit_seconds", Help: "Time of one journal commit, its sync included.",
			Buckets: prometheus.ExponentialBuckets(100e-6, 2, 16), // 0.1 ms to 3.3 s
		}),
		batchBytes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "tidemark_batch_bytes", Help: "Size of one journal commit.",
			Buckets: prometheus.ExponentialBuckets(256, 4, 9), // 256 B to 16 MiB
		}),
		commitsFailed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tidemark_commit_failures_total", Help: "Journal commits that failed; after the first the partition stops writing.",
		}),
		callSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tidemark_call_seconds", Help: "Time of one HTTP call, by method and code.",
			Buckets: prometheus.ExponentialBuckets(200e-6, 4, 9), // 0.2 ms to 13 s
		}, []string{"method", "code"}),
	}
	m.registry.MustRegister(m.commitSeconds, m.batchBytes, m.commitsFailed, m.callSeconds, counted{s},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// handler serves the figures.
func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// observeCall counts one HTTP call; code is "ok" or a Connect code.
func (m *metrics) observeCall(method, code string, took time.Duration) {
	m.callSeconds.WithLabelValues(method, code).Observe(took.Seconds())
}

// measured is a journal whose commits are measured.
func (m *metrics) measured(j journal.Journal) journal.Journal { return &measuredJournal{j, m} }

type measuredJournal struct {
	journal.Journal
	metrics *metrics
}

// Commit implements [journal.Journal].
func (j *measuredJournal) Commit(b *store.Batch) error {
	begin, size := time.Now(), b.Len()
	err := j.Journal.Commit(b)
	j.metrics.commitSeconds.Observe(time.Since(begin).Seconds())
	j.metrics.batchBytes.Observe(float64(size))
	if err != nil {
		j.metrics.commitsFailed.Inc()
	}
	return err
}

// counted collects what the parts count themselves, when it is asked for.
type counted struct{ *Server }

// figure is a family of figures with no label or one.
type figure struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func family(name, help string, kind prometheus.ValueType, labels ...string) figure {
	return figure{prometheus.NewDesc("tidemark_"+name, help, labels, nil), kind}
}

func (f figure) of(value float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(f.desc, f.kind, value, labels...)
}

const (
	gauge   = prometheus.GaugeValue
	counter = prometheus.CounterValue
)

// perPartition are the figures of each partition.
var perPartition = []struct {
	figure
	value func(partition.Stats) uint64
}{
	{family("position", "Commits of the partition, ever.", gauge, "partition"), func(s partition.Stats) uint64 { return uint64(s.Position) }},
	{family("users", "Users that the partition knows.", gauge, "partition"), func(s partition.Stats) uint64 { return s.Users }},
	{family("conversations", "Conversations of the partition.", gauge, "partition"), func(s partition.Stats) uint64 { return s.Conversations }},
	{family("queue_length", "Commands waiting.", gauge, "partition"), func(s partition.Stats) uint64 { return s.Queued }},
	{family("online_users", "Users of the partition with a session.", gauge, "partition"), func(s partition.Stats) uint64 { return s.Online }},
	{family("tail_bytes", "Encoded events kept in memory.", gauge, "partition"), func(s partition.Stats) uint64 { return s.TailBytes }},
	{family("ordered_readers", "Members whose marks are kept in order, for receipts.", gauge, "partition"), func(s partition.Stats) uint64 { return s.Readers }},
	{family("commands_total", "Commands evaluated.", counter, "partition"), func(s partition.Stats) uint64 { return s.Commands }},
	{family("commands_refused_total", "Commands refused.", counter, "partition"), func(s partition.Stats) uint64 { return s.Refused }},
	{family("commits_total", "Batches committed: commands / commits is the gathering.", counter, "partition"), func(s partition.Stats) uint64 { return s.Commits }},
	{family("events_total", "Events appended.", counter, "partition"), func(s partition.Stats) uint64 { return s.Events }},
	{family("journal_bytes_total", "Bytes given to the journal.", counter, "partition"), func(s partition.Stats) uint64 { return s.BatchBytes }},
	{family("wakes_total", "Sessions woken: what is delivered live.", counter, "partition"), func(s partition.Stats) uint64 { return s.Wakes }},
	{family("rooms", "Rooms that somebody is in.", gauge, "partition"), func(s partition.Stats) uint64 { return s.Rooms }},
	{family("room_receivers", "Sessions in rooms.", gauge, "partition"), func(s partition.Stats) uint64 { return s.RoomReceivers }},
	{family("signals_total", "Signals handed to sessions.", counter, "partition"), func(s partition.Stats) uint64 { return s.Signals }},
	{family("cache_misses_total", "Reads that went to the store.", counter, "partition"), func(s partition.Stats) uint64 { return s.CacheMisses }},
}

// ofGateway are the figures of the WebSocket connections.
var ofGateway = []struct {
	figure
	value func(gateway.Stats) uint64
}{
	{family("connections", "WebSocket connections.", gauge), func(s gateway.Stats) uint64 { return s.Connections }},
	{family("connections_accepted_total", "WebSocket connections accepted.", counter), func(s gateway.Stats) uint64 { return s.Accepted }},
	{family("connections_refused_total", "WebSocket connections refused.", counter), func(s gateway.Stats) uint64 { return s.Refused }},
	{family("frames_in_total", "Frames from clients.", counter), func(s gateway.Stats) uint64 { return s.FramesIn }},
	{family("frames_out_total", "Frames to clients.", counter), func(s gateway.Stats) uint64 { return s.FramesOut }},
	{family("bytes_in_total", "Bytes read from WebSocket connections.", counter), func(s gateway.Stats) uint64 { return s.BytesIn }},
	{family("bytes_out_total", "Bytes written to WebSocket connections.", counter), func(s gateway.Stats) uint64 { return s.BytesOut }},
	{family("writes_total", "Writes to connections: frames out / writes is the gathering.", counter), func(s gateway.Stats) uint64 { return s.Writes }},
	{family("frames_rate_limited_total", "Frames answered with RATE_LIMITED.", counter), func(s gateway.Stats) uint64 { return s.RateLimited }},
	{family("hellos_refused_total", "Connections whose hello was refused.", counter), func(s gateway.Stats) uint64 { return s.RefusedHellos }},
	{family("slow_closes_total", "Connections cut because they did not read.", counter), func(s gateway.Stats) uint64 { return s.Slow }},
	{family("half_open_closes_total", "Connections cut because nothing came from them.", counter), func(s gateway.Stats) uint64 { return s.HalfOpen }},
	{family("expired_closes_total", "Connections ended with their token.", counter), func(s gateway.Stats) uint64 { return s.Expired }},
}

// ofStore are the figures of the store.
var ofStore = []struct {
	figure
	value func(store.Metrics) uint64
}{
	{family("disk_bytes", "Bytes of the data directory.", gauge), func(m store.Metrics) uint64 { return m.DiskBytes }},
	{family("disk_free_bytes", "Bytes left on its file system.", gauge), func(m store.Metrics) uint64 { return m.FreeBytes }},
	{family("wal_bytes", "Bytes of the write-ahead log.", gauge), func(m store.Metrics) uint64 { return m.WALBytes }},
	{family("memtable_bytes", "Bytes not yet in tables.", gauge), func(m store.Metrics) uint64 { return m.MemTableBytes }},
	{family("block_cache_bytes", "Bytes of the block cache.", gauge), func(m store.Metrics) uint64 { return uint64(m.CacheBytes) }},
	{family("block_cache_hits_total", "Blocks found in the cache.", counter), func(m store.Metrics) uint64 { return uint64(m.CacheHits) }},
	{family("block_cache_misses_total", "Blocks read from disk.", counter), func(m store.Metrics) uint64 { return uint64(m.CacheMisses) }},
	{family("tables", "Table files.", gauge), func(m store.Metrics) uint64 { return uint64(m.Tables) }},
	{family("read_amplification", "Levels a read may have to look at.", gauge), func(m store.Metrics) uint64 { return uint64(m.ReadAmplification) }},
	{family("compactions_total", "Compactions.", counter), func(m store.Metrics) uint64 { return uint64(m.Compactions) }},
}

var (
	takeBackFamily   = family("take_back_seconds", "For so long yet lost events are taken back, and nothing else is written.", gauge)
	takenFamily      = family("taken_back_events_total", "Lost events that came back.", counter)
	sessionsFamily   = family("sessions", "Sessions on this node.", gauge)
	backupsFamily    = family("backups_total", "Backups since the start, by outcome: made or failed.", counter, "outcome")
	backupTimeFamily = family("backup_last_timestamp_seconds", "When the last backup was complete, Unix time; 0: none since the start.", gauge)
	backupSizeFamily = family("backup_last_bytes", "Bytes of the last backup.", gauge)
	backupTookFamily = family("backup_last_duration_seconds", "How long the last backup took.", gauge)
	shedFamily       = family("room_shed_total", "Messages of rooms that were left out for a receiver which was behind, by priority.", counter, "priority")
	readyFamily      = family("ready", "1 while writes are accepted.", gauge)
	violationsFamily = family("protocol_errors_total", "Connections ended because the client broke the protocol, by kind.", counter, "kind")
)

// Describe implements [prometheus.Collector].
func (c counted) Describe(out chan<- *prometheus.Desc) {
	for _, f := range perPartition {
		out <- f.desc
	}
	for _, f := range ofGateway {
		out <- f.desc
	}
	for _, f := range ofStore {
		out <- f.desc
	}
	out <- takeBackFamily.desc
	out <- takenFamily.desc
	for _, f := range []figure{backupsFamily, backupTimeFamily, backupSizeFamily, backupTookFamily} {
		out <- f.desc
	}
	out <- sessionsFamily.desc
	out <- readyFamily.desc
	out <- shedFamily.desc
	out <- violationsFamily.desc
}

// Collect implements [prometheus.Collector].
func (c counted) Collect(out chan<- prometheus.Metric) {
	var low, normal uint64
	for n := range c.set.Partitions() {
		stats, label := c.set.At(n).Stats(), strconv.FormatUint(uint64(n), 10)
		low, normal = low+stats.ShedLow, normal+stats.ShedNormal
		for _, f := range perPartition {
			out <- f.of(float64(f.value(stats)), label)
		}
	}
	out <- shedFamily.of(float64(low), "low")
	out <- shedFamily.of(float64(normal), "normal")
	sockets := c.sockets.Stats()
	for _, f := range ofGateway {
		out <- f.of(float64(f.value(sockets)))
	}
	for kind, n := range sockets.ProtocolErrors {
		out <- violationsFamily.of(float64(n), gateway.Violation(kind).String())
	}
	disk := c.db.Metrics()
	for _, f := range ofStore {
		out <- f.of(float64(f.value(disk)))
	}
	taken, _ := c.set.TakenBack()
	out <- takeBackFamily.of(float64(c.set.TakeBackMs()) / 1000)
	out <- takenFamily.of(float64(taken))
	out <- backupsFamily.of(float64(c.backups.made.Load()), "made")
	out <- backupsFamily.of(float64(c.backups.failed.Load()), "failed")
	out <- backupTimeFamily.of(float64(c.backups.lastMs.Load()) / 1000)
	out <- backupSizeFamily.of(float64(c.backups.lastBytes.Load()))
	out <- backupTookFamily.of(float64(c.backups.lastTookMs.Load()) / 1000)
	out <- sessionsFamily.of(float64(c.registry.Count()))
	ready := 0.0
	if _, ok := c.state(); ok {
		ready = 1
	}
	out <- readyFamily.of(ready)
}
