package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/pgparallel/pgparallel/sharedstate"
	"github.com/pgparallel/pgparallel/walsender"
)

// The metrics of serve are in the form of Prometheus. Their one label with a value that
// comes and goes is backup, the first 8 characters of an id: the whole id is a secret.

// How a backup ended: the label result.
const (
	resultCompleted = "completed"
	resultDamaged   = "damaged" // completed, and pages of the cluster are damaged
	resultFailed    = "failed"
)

// serverMetrics are the metrics of a server. What runs is asked for when it is collected;
// what has ended is told by the hooks of the server.
type serverMetrics struct {
	server *walsender.Server

	finished      *prometheus.CounterVec
	duration      *prometheus.HistogramVec
	lastEnd       *prometheus.GaugeVec
	sessionsEnded prometheus.Counter
}

// newServerMetrics makes the metrics of a server that does not serve yet, and hears of its
// ends from now on.
func newServerMetrics(server *walsender.Server) *serverMetrics {
	m := &serverMetrics{
		server: server,
		finished: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pgparallel_backups_finished_total", Help: "Backups that have ended: completed, completed with damaged pages, or failed.",
		}, []string{"result"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "pgparallel_backup_duration_seconds", Help: "How long the backups took that have ended.",
			Buckets: []float64{1, 10, 60, 300, 900, 1800, 3600, 2 * 3600, 4 * 3600, 8 * 3600, 24 * 3600},
		}, []string{"result"}),
		lastEnd: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "pgparallel_backup_last_end_timestamp_seconds", Help: "When the last backup ended so, since the server was started.",
		}, []string{"result"}),
		sessionsEnded: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pgparallel_sessions_ended_total", Help: "Sessions that were let in and have ended.",
		}),
	}
	for _, result := range []string{resultCompleted, resultDamaged, resultFailed} {
		m.finished.WithLabelValues(result)
		m.duration.WithLabelValues(result)
	}
	server.BackupEnded = m.backupEnded
	server.SessionEnded = func(walsender.SessionEnd) { m.sessionsEnded.Inc() }
	return m
}

func (m *serverMetrics) backupEnded(e walsender.BackupEnd) {
	result := resultCompleted
	switch {
	case e.Err != nil:
		result = resultFailed
	case e.ChecksumFailures > 0:
		result = resultDamaged
	}
	m.finished.WithLabelValues(result).Inc()
	m.duration.WithLabelValues(result).Observe(e.Duration.Seconds())
	m.lastEnd.WithLabelValues(result).Set(float64(time.Now().UnixMilli()) / 1000)
}

// registry has these metrics, and those of every Go program.
func (m *serverMetrics) registry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(m, m.finished, m.duration, m.lastEnd, m.sessionsEnded,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// metric is one whose value is asked for.
type metric struct {
	*prometheus.Desc
	kind prometheus.ValueType
}

func newMetric(kind prometheus.ValueType, name, help string, labels ...string) metric {
	return metric{prometheus.NewDesc("pgparallel_"+name, help, labels, nil), kind}
}

func (m metric) tell(to chan<- prometheus.Metric, value float64, labels ...string) {
	to <- prometheus.MustNewConstMetric(m.Desc, m.kind, value, labels...)
}

// Of the server.
var (
	buildInfo        = newMetric(prometheus.GaugeValue, "build_info", "Always 1; the labels are the version of pgparallel and its commit.", "version", "commit")
	backupsNow       = newMetric(prometheus.GaugeValue, "backups", "Backups that run, by their phase.", "state")
	backupsLimit     = newMetric(prometheus.GaugeValue, "backups_limit", "How many backups there may be at once (--max-backups).")
	sessionsNow      = newMetric(prometheus.GaugeValue, "sessions", "Sessions that were let in and have not ended.")
	sessionsLimit    = newMetric(prometheus.GaugeValue, "sessions_limit", "How many sessions there may be at once (--max-wal-senders).")
	sentBytes        = newMetric(prometheus.CounterValue, "sent_bytes_total", "Bytes of files that were sent in all backups, repeated ones and WAL included.")
	filesSent        = newMetric(prometheus.CounterValue, "files_total", "Files that were sent whole in all backups.")
	throttledSeconds = newMetric(prometheus.CounterValue, "throttled_seconds_total", "How long the sessions of all backups slept for the sake of a rate.")
	checksumFailures = newMetric(prometheus.CounterValue, "checksum_failures_total", "Damaged pages that were sent in all backups.")
)

// Of the cache of digests (§8.3).
var (
	digestHits    = newMetric(prometheus.CounterValue, "digest_cache_hits_total", "Digests of files that were found in the cache.")
	digestMisses  = newMetric(prometheus.CounterValue, "digest_cache_misses_total", "Digests that were not found there, those that another session was computing included.")
	digestShared  = newMetric(prometheus.CounterValue, "digest_cache_shared_total", "Digests that another session was computing at that moment.")
	digestKept    = newMetric(prometheus.CounterValue, "digest_cache_kept_total", "Digests that the cache took.")
	digestDropped = newMetric(prometheus.CounterValue, "digest_cache_dropped_total", "Digests that the cache did not take, or let go to make room.")
	digestSaved   = newMetric(prometheus.CounterValue, "digest_cache_saved_bytes_total", "Bytes of files that were not read, thanks to the cache.")
)

// Of a backup that runs.
var (
	backupStart            = newMetric(prometheus.GaugeValue, "backup_start_timestamp_seconds", "When the backup was started.", "backup")
	backupSentBytes        = newMetric(prometheus.GaugeValue, "backup_sent_bytes", "Bytes of files that were sent, repeated ones and WAL included.", "backup")
	backupTotalBytes       = newMetric(prometheus.GaugeValue, "backup_total_bytes", "Size of the backup, where its client has asked for it.", "backup")
	backupFiles            = newMetric(prometheus.CounterValue, "backup_files_total", "Files that were sent whole.", "backup")
	backupSessions         = newMetric(prometheus.GaugeValue, "backup_sessions", "Sessions that take part, the leader included.", "backup")
	backupMaxRate          = newMetric(prometheus.GaugeValue, "backup_max_rate_bytes_per_second", "The rate that holds; absent where there is none.", "backup")
	backupThrottledSeconds = newMetric(prometheus.CounterValue, "backup_throttled_seconds_total", "How long the sessions slept for the sake of the rate.", "backup")
	backupChecksumFailures = newMetric(prometheus.CounterValue, "backup_checksum_failures_total", "Damaged pages that were sent.", "backup")
)

// Describe implements [prometheus.Collector].
func (m *serverMetrics) Describe(to chan<- *prometheus.Desc) {
	for _, one := range []metric{
		buildInfo, backupsNow, backupsLimit, sessionsNow, sessionsLimit, sentBytes, filesSent, throttledSeconds, checksumFailures,
		digestHits, digestMisses, digestShared, digestKept, digestDropped, digestSaved,
		backupStart, backupSentBytes, backupTotalBytes, backupFiles, backupSessions, backupMaxRate, backupThrottledSeconds, backupChecksumFailures,
	} {
		to <- one.Desc
	}
}

// Collect implements [prometheus.Collector].
func (m *serverMetrics) Collect(to chan<- prometheus.Metric) {
	buildInfo.tell(to, 1, thisRelease().version, thisRelease().commit)
	limit := m.server.MaxWALSenders
	if limit <= 0 {
		limit = walsender.DefaultMaxWALSenders
	}
	sessionsLimit.tell(to, float64(limit))
	sessionsNow.tell(to, float64(m.server.Sessions()))
	backupsLimit.tell(to, float64(m.server.Backups.Limit()))
	all := m.server.Backups.Counters()
	sentBytes.tell(to, float64(all.BytesSent))
	filesSent.tell(to, float64(all.FilesSent))
	throttledSeconds.tell(to, all.Throttled.Seconds())
	checksumFailures.tell(to, float64(all.ChecksumFailures))

	digests := m.server.Digests.Stats()
	digestHits.tell(to, float64(digests.Hits))
	digestMisses.tell(to, float64(digests.Misses))
	digestShared.tell(to, float64(digests.Shared))
	digestKept.tell(to, float64(digests.Kept))
	digestDropped.tell(to, float64(digests.Dropped))
	digestSaved.tell(to, float64(digests.BytesSaved))

	states := map[sharedstate.State]int{sharedstate.Starting: 0, sharedstate.Running: 0, sharedstate.Stopping: 0}
	told := map[string]bool{}
	for _, b := range m.server.Backups.Backups() {
		states[b.State]++
		if !told[b.ID] { // two ids may begin alike, and a metric is told once
			collectBackup(to, b)
		}
		told[b.ID] = true
	}
	for state, n := range states {
		backupsNow.tell(to, float64(n), string(state))
	}
}

func collectBackup(to chan<- prometheus.Metric, b sharedstate.Status) {
	backupStart.tell(to, float64(b.Began.UnixMilli())/1000, b.ID)
	backupSentBytes.tell(to, float64(b.BytesSent), b.ID)
	if b.BytesTotal > 0 {
		backupTotalBytes.tell(to, float64(b.BytesTotal), b.ID)
	}
	backupFiles.tell(to, float64(b.FilesSent), b.ID)
	backupSessions.tell(to, float64(1+b.SessionsJoined-b.SessionsLeft), b.ID)
	if b.MaxRate > 0 {
		backupMaxRate.tell(to, float64(b.MaxRate)*1024, b.ID)
	}
	backupThrottledSeconds.tell(to, b.Throttled.Seconds(), b.ID)
	backupChecksumFailures.tell(to, float64(b.ChecksumFailures), b.ID)
}
