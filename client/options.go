package client

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/protocol"
)

// DefaultLabel is the label of a backup whose [Options] name none.
const DefaultLabel = "pgparallel base backup"

// WALMethod says where the write-ahead log comes from that makes a backup
// consistent.
type WALMethod int

const (
	// WALFetch copies the segments at the end of the backup. The server has
	// to keep them until then (wal_keep_size). It is the default.
	WALFetch WALMethod = iota
	// WALNone copies none: they are taken from an archive when the backup is
	// restored, and the server is asked to wait until they are archived. Of a
	// cluster that gives no backup_label the segments are copied all the same,
	// for nothing else could supply them (§5.11).
	WALNone
)

// Options say what to back up, and to where. ConnConfig and Dir are required; the
// zero value of all else is a sound default. [Backup] changes nothing in them.
type Options struct {
	// ConnConfig is where and as whom to connect; it must come from
	// [pgconn.ParseConfig]. Backup works on a copy: it sets the parameter
	// replication, and application_name where there is none, and opens Jobs+1
	// connections, all to the address that the first one reached.
	ConnConfig *pgconn.Config

	// Dir is the directory to write. It must be empty or absent; missing
	// parents are created.
	Dir string

	// Jobs is the number of connections that copy files; 0 means 1. One more
	// leads the backup.
	Jobs int

	// Label goes into backup_label; empty means [DefaultLabel].
	Label string

	// FastCheckpoint asks for an immediate checkpoint instead of one that is
	// spread over checkpoint_completion_target.
	FastCheckpoint bool

	// MaxRate is the most that all connections transfer together, in kB (of
	// 1024 bytes) per second, 32 to 1048576; 0 means no limit. The server
	// enforces it.
	MaxRate int

	// WAL says whether the write-ahead log is part of the backup.
	WAL WALMethod

	// TablespaceMap gives tablespaces another directory: the location on the
	// server to the one to write, both absolute. A tablespace that is not in
	// it goes to its own location, which must be empty or absent here.
	TablespaceMap map[string]string

	// ManifestChecksums is the algorithm for the files in backup_manifest.
	ManifestChecksums protocol.ChecksumAlgorithm

	NoManifest        bool // write no backup_manifest
	NoVerifyChecksums bool // do not have the server verify the checksums of pages
	NoSync            bool // do not wait until the backup is on disk: for tests only
	NoClean           bool // on failure leave behind what was written

	// Progress is told how far the backup has come, at most five times a
	// second and once more at its end, always from the same goroutine. It must
	// return quickly. Nil means that nobody asks.
	Progress func(Progress)

	// Log receives what there is to tell, never two events at a time. It must
	// return quickly. Nil means that nobody asks.
	Log func(Event)

	// step is called before each step of the run, with its name.
	step func(name string)
}

// withDefaults is a copy of o that needs no further look at what may be zero, or
// the first thing that is wrong with o.
func (o Options) withDefaults() (Options, error) {
	if o.ConnConfig == nil {
		return o, errors.New("no server specified")
	}
	if o.Dir == "" {
		return o, errors.New("no target directory specified")
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return o, fmt.Errorf("could not determine the path of the target directory: %w", err)
	}
	o.Dir = dir
	if o.Jobs == 0 {
		o.Jobs = 1
	}
	if o.Jobs < 0 {
		return o, fmt.Errorf("invalid number of parallel jobs: %d", o.Jobs)
	}
	if o.Label == "" {
		o.Label = DefaultLabel
	}
	if strings.IndexByte(o.Label, 0) >= 0 {
		return o, errors.New("invalid backup label: it holds a zero byte")
	}
	if o.MaxRate != 0 && (o.MaxRate < 32 || o.MaxRate > 1<<20) {
		return o, fmt.Errorf("transfer rate %d kB/s is out of range (32 to 1048576)", o.MaxRate)
	}
	if o.TablespaceMap, err = cleanTablespaceMap(o.TablespaceMap); err != nil {
		return o, err
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	if o.Log == nil {
		o.Log = func(Event) {}
	}
	if o.step == nil {
		o.step = func(string) {}
	}
	return o, nil
}

func cleanTablespaceMap(m map[string]string) (map[string]string, error) {
	clean := make(map[string]string, len(m))
	for from, to := range m {
		switch {
		case !filepath.IsAbs(from):
			return nil, fmt.Errorf("old directory is not an absolute path in tablespace mapping: %s", from)
		case !filepath.IsAbs(to):
			return nil, fmt.Errorf("new directory is not an absolute path in tablespace mapping: %s", to)
		}
		from = filepath.Clean(from)
		if _, twice := clean[from]; twice {
			return nil, fmt.Errorf("tablespace mapping names the directory %q more than once", from)
		}
		clean[from] = filepath.Clean(to)
	}
	return clean, nil
}
