package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/protocol"
)

// jsonLines writes what --json is for: objects that programs read, each in a line of
// standard output. Their member "event" says which one it is:
//
//	progress  what the backup does and how far it is; once a second, also while it waits, at
//	          each new phase and at the end of the copy
//	warning   what a person is warned of on standard error
//	result    of a backup that is complete
//	plan      of --dry-run
//	error     of whatever failed; the last line, with an exit status that is not 0
//
// Sizes are in bytes, positions as PostgreSQL prints them. Members may be added.
type jsonLines struct {
	mu      sync.Mutex // an event of the log may come at any time
	encoder *json.Encoder
	began   time.Time
	shownAt time.Time
	shown   client.Progress
}

func newJSONLines(out *console) *jsonLines {
	return &jsonLines{encoder: json.NewEncoder(out.stdout), began: time.Now()}
}

type jsonProgress struct {
	Event      string       `json:"event"`
	Phase      client.Phase `json:"phase"`
	Seconds    float64      `json:"seconds"` // since the backup began
	Bytes      int64        `json:"bytes"`
	TotalBytes int64        `json:"total_bytes"` // 0 until the files are listed
	Files      int64        `json:"files"`
	TotalFiles int64        `json:"total_files"`        // 0 until then
	MaxRate    int          `json:"max_rate,omitempty"` // kB per second; absent: no limit
}

func (l *jsonLines) progress(p client.Progress) {
	copied := p.TotalFiles > 0 && p.Files == p.TotalFiles && p != l.shown
	if time.Since(l.shownAt) < time.Second && p.Phase == l.shown.Phase && !copied {
		return
	}
	l.write(jsonProgress{"progress", p.Phase, l.seconds(), p.Bytes, max(p.TotalBytes, p.Bytes), p.Files, p.TotalFiles, p.MaxRate})
	l.shown, l.shownAt = p, time.Now()
}

// seconds is the time since the beginning, to the millisecond.
func (l *jsonLines) seconds() float64 {
	return float64(time.Since(l.began).Milliseconds()) / 1000
}

type jsonWarning struct {
	Event    string `json:"event"`
	Message  string `json:"message"`
	SQLState string `json:"sqlstate,omitempty"` // where the server warns
	Hint     string `json:"hint,omitempty"`
}

func (l *jsonLines) warning(e client.Event) {
	line := jsonWarning{Event: "warning", Message: e.Message}
	if e.Notice != nil {
		line.SQLState, line.Hint = e.Notice.Code, e.Notice.Hint
	}
	l.write(line)
}

func (l *jsonLines) write(line any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.encoder.Encode(line) // the console keeps the error (see backup)
}

type jsonResult struct {
	Event         string  `json:"event"`
	Directory     string  `json:"directory"`
	SystemID      uint64  `json:"system_identifier,string"` // too large for many readers' numbers
	StartLSN      string  `json:"start_lsn"`
	StartTimeline uint32  `json:"start_timeline"`
	StopLSN       *string `json:"stop_lsn"` // null where it is not known
	StopTimeline  uint32  `json:"stop_timeline"`
	BackupLabel   bool    `json:"backup_label"` // false: it starts without recovery
	Files         int64   `json:"files"`
	Bytes         int64   `json:"bytes"`
	WALFiles      int64   `json:"wal_files"`
	*jsonRefreshed
	Vanished     int64   `json:"vanished_files"`
	BadChecksums bool    `json:"checksum_failures"` // the server found damaged pages
	ExitStatus   int     `json:"exit_status"`
	Seconds      float64 `json:"seconds"`
}

// jsonRefreshed is what a result has with --refresh.
type jsonRefreshed struct {
	FetchedFiles int64 `json:"fetched_files"` // whole or in parts
	FetchedBytes int64 `json:"fetched_bytes"`
	KeptFiles    int64 `json:"kept_files"`    // of an earlier backup, as they were
	KeptBytes    int64 `json:"kept_bytes"`    // of these, and of files of which parts were fetched
	RemovedFiles int64 `json:"removed_files"` // that the server does not have
}

func (l *jsonLines) result(r client.Result, o client.Options, err error) {
	line := jsonResult{
		Event: "result", Directory: absolute(o.Dir), SystemID: r.SystemID,
		StartLSN: r.StartPtr.String(), StartTimeline: uint32(r.Timeline), StopTimeline: uint32(r.StopTimeline),
		BackupLabel: r.HasLabel, Files: r.Files, Bytes: r.Bytes, WALFiles: r.WALFiles, Vanished: r.Vanished,
		BadChecksums: err != nil, ExitStatus: statusOf(err), Seconds: l.seconds(),
	}
	if o.Refresh {
		line.jsonRefreshed = &jsonRefreshed{r.FetchedFiles, r.FetchedBytes, r.KeptFiles, r.KeptBytes, r.RemovedFiles}
	}
	if r.StopPtr != 0 {
		stop := r.StopPtr.String()
		line.StopLSN = &stop
	}
	l.write(line)
}

// absolute is a directory by its whole name, where that can be known.
func absolute(dir string) string {
	if whole, err := filepath.Abs(dir); err == nil {
		return whole
	}
	return dir
}

type jsonError struct {
	Event      string `json:"event"`
	Message    string `json:"message"`
	SQLState   string `json:"sqlstate,omitempty"` // where the server refused
	Detail     string `json:"detail,omitempty"`
	Hint       string `json:"hint,omitempty"`
	ExitStatus int    `json:"exit_status"`
}

func (l *jsonLines) error(err error, hint string) {
	line := jsonError{Event: "error", Message: errorText(err), Hint: hint, ExitStatus: statusOf(err)}
	if refused, ok := errors.AsType[*protocol.Error](err); ok {
		line.SQLState, line.Detail, line.Hint = refused.Code, refused.Detail, cmp.Or(refused.Hint, hint)
	}
	l.write(line)
}

type jsonPlan struct {
	Event         string       `json:"event"`
	SystemID      uint64       `json:"system_identifier,string"`
	ServerVersion int          `json:"server_version_num"`
	Files         int64        `json:"files"`
	Bytes         int64        `json:"bytes"`
	Spaces        []jsonSpace  `json:"tablespaces"` // the data directory first
	Workers       []jsonWorker `json:"workers"`
	WAL           string       `json:"wal_method"`
	Slot          string       `json:"slot,omitempty"`
	Creates       []string     `json:"creates"`
	Removes       []string     `json:"removes"`
	FileSystems   []jsonRoom   `json:"file_systems"`
	*jsonRefreshed
	RemovedBytes *int64 `json:"removed_bytes,omitempty"` // with --refresh
	Beside       string `json:"beside,omitempty"`        // where the new backup would be made beside the old one
}

type jsonRoom struct {
	Dir    string `json:"directory"` // one on it that exists
	Needed int64  `json:"needed"`
	AtMost bool   `json:"at_most,omitempty"` // needed is without compression
	Free   int64  `json:"free"`
}

type jsonSpace struct {
	OID      uint32 `json:"oid"` // 0: the data directory
	Location string `json:"location,omitempty"`
	Target   string `json:"target,omitempty"` // none: within the data directory
	Unmapped bool   `json:"unmapped,omitempty"`
	Files    int64  `json:"files"`
	Bytes    int64  `json:"bytes"`
}

type jsonWorker struct {
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
}

func (l *jsonLines) plan(p client.Plan) {
	line := jsonPlan{
		Event: "plan", SystemID: p.SystemID, ServerVersion: p.ServerVersion, Files: p.Files, Bytes: p.Bytes,
		WAL: walMethodName(p.WAL), Slot: p.Slot, Creates: append([]string{}, p.Creates...), Removes: append([]string{}, p.Removes...),
	}
	line.FileSystems = []jsonRoom{}
	for _, f := range p.FileSystems {
		line.FileSystems = append(line.FileSystems, jsonRoom(f))
	}
	for _, s := range p.Spaces {
		line.Spaces = append(line.Spaces, jsonSpace(s))
	}
	if r := p.Refresh; r != nil {
		line.jsonRefreshed = &jsonRefreshed{r.FetchedFiles, r.FetchedBytes, r.KeptFiles, r.KeptBytes, r.RemovedFiles}
		line.RemovedBytes, line.Beside = &r.RemovedBytes, r.Beside
	}
	for _, w := range p.Workers {
		line.Workers = append(line.Workers, jsonWorker(w))
	}
	l.write(line)
}
