package client

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/protocol/conninfo"
	"github.com/pgparallel/pgparallel/protocol/manifest"
)

// DefaultLabel is the label of a backup whose [Options] name none.
const DefaultLabel = "pgparallel base backup"

// WALMethod says where the write-ahead log comes from that makes a backup
// consistent.
type WALMethod int

const (
	// WALDefault is WALStream where the server can stream, which one beside a
	// running cluster can, and WALFetch elsewhere.
	WALDefault WALMethod = iota
	// WALFetch copies the segments at the end of the backup. The server has
	// to keep them until then (wal_keep_size).
	WALFetch
	// WALNone copies none: they are taken from an archive when the backup is
	// restored, and the server is asked to wait until they are archived. Of a
	// cluster that gives no backup_label the segments are copied all the same,
	// for nothing else could supply them (§5.11).
	WALNone
	// WALStream receives the log while the files are copied, over a connection
	// of its own, with a replication slot that has the server keep what was not
	// received yet. Of a cluster that is stopped it is fetched all the same:
	// no more of it is written.
	WALStream
)

// Options say what to back up, and to where. ConnInfo, or ConnConfig, and Dir are
// required; the zero value of all else is a sound default. [Backup] changes nothing in
// them.
type Options struct {
	// ConnInfo is where and as whom to connect, as libpq reads it. Backup opens
	// Jobs+1 connections, one more for WALStream, all to the address that the
	// first one reached, with the parameter replication.
	ConnInfo *conninfo.Info

	// ConnConfig is used to connect in place of ConnInfo, for those who need a way
	// of their own; it must come from [pgconn.ParseConfig]. Backup works on a copy,
	// and sets the parameters replication, and application_name where there is
	// none.
	ConnConfig *pgconn.Config

	// Dir is the directory to write. It must be empty or absent; missing
	// parents are created.
	Dir string

	// Format is what the backup is written as.
	Format Format

	// Compression is for the archives of FormatTar. Each connection compresses
	// what it receives, and keeps up to 16 MiB for it beside what the method needs
	// itself. Files of more than 4 MiB that are compressed at the same time lie in
	// Dir twice for a while, compressed, all of them but one. On the way to Output
	// they wait for each other instead.
	Compression Compression

	// Output is where base.tar goes, with the manifest in it, instead of into Dir,
	// which is not used then. It is for FormatTar and clusters without
	// tablespaces. What has been written cannot be taken back on failure. A write
	// that nobody takes holds a canceled backup up, unless Output has the method
	// SetWriteDeadline. Backup does not close it.
	Output io.Writer

	// WALDir is a directory for the write-ahead log, which pg_wal becomes a link
	// to; an absolute path. Like Dir it must be empty or absent. It is for
	// FormatPlain.
	WALDir string

	// WriteRecoveryConf has a server that is started from the backup become a
	// standby of the one that ConnInfo, which is required then, leads to: it adds
	// [conninfo.Info.PrimaryConnInfo] as primary_conninfo and Slot, or none, as
	// primary_slot_name to postgresql.auto.conf, and creates standby.signal.
	WriteRecoveryConf bool

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

	// MinJobs is how many of the connections that copy files are enough, where
	// others cannot be opened or cannot join the backup (§5.4); 0 means that
	// all of them are needed.
	MinJobs int

	// WAL says whether the write-ahead log is part of the backup.
	WAL WALMethod

	// Slot names the replication slot for WALStream, which must exist unless
	// CreateSlot is set; it stays when the backup is over. Empty means a
	// temporary one, or with NoSlot none: then the server keeps what
	// wal_keep_size says.
	Slot       string
	CreateSlot bool // create the slot; a backup that fails drops it again
	NoSlot     bool

	// StatusInterval is how often the server is told how much of the stream has
	// arrived; 0 means every ten seconds, less than 0 only when it asks.
	StatusInterval time.Duration

	// Timeout is how long the server may be silent while it owes an answer, on
	// any connection, before the backup fails; 0 means as long as it likes. It
	// holds for the checkpoint too, which is waited for in silence, but not for
	// what the server says that it waits for, as its archive. TCP keepalives, which find a server that is gone within a
	// minute, are on besides, unless ConnInfo says otherwise.
	Timeout time.Duration

	// Force removes what a backup that was killed has left in Dir, WALDir and the
	// tablespaces' directories: all that is there. A directory that a server can
	// be started from, or may use, is none such.
	Force bool

	// TablespaceMap gives tablespaces another directory: the location on the
	// server to the one to write, both absolute. A tablespace that is not in
	// it goes to its own location, which must be empty or absent here.
	TablespaceMap map[string]string

	// ManifestChecksums is the algorithm for the files in backup_manifest.
	ManifestChecksums manifest.ChecksumAlgorithm

	ManifestForceEncode bool // encode all names in the manifest, not only those that are not UTF-8

	NoEstimateSize    bool // do not have the server sum up sizes: the total is 0 until it has listed the files
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

	// walPatience is how long a stream may stand still once it is known where it ends;
	// 0 means defaultWALPatience.
	walPatience time.Duration

	// walInterval is the time between two looks for WAL that nothing keeps (§5.13); 0
	// means defaultWALInterval.
	walInterval time.Duration

	// step is called before each step of the run, with its name.
	step func(name string)
}

// withDefaults is a copy of o that needs no further look at what may be zero, or
// the first thing that is wrong with o.
func (o Options) withDefaults() (Options, error) {
	if o.ConnConfig == nil && o.ConnInfo == nil {
		return o, errors.New("no server specified")
	}
	if o.WriteRecoveryConf && o.ConnInfo == nil {
		return o, errors.New("primary_conninfo cannot be written without ConnInfo")
	}
	if o.Dir == "" && o.Output == nil {
		return o, errors.New("no target directory specified")
	}
	dir, err := absolute(o.Dir)
	if err != nil {
		return o, err
	}
	if o.Dir = dir; o.Output != nil {
		o.Dir = "" // nothing is written there
	}
	if err := o.checkFormat(); err != nil {
		return o, err
	}
	if o.Output != nil && o.WAL == WALDefault {
		o.WAL = WALFetch
	}
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
	if o.MinJobs < 0 || o.MinJobs > o.Jobs {
		return o, fmt.Errorf("minimum number of parallel jobs %d is out of range (0 to %d)", o.MinJobs, o.Jobs)
	}
	if err := o.checkSlot(); err != nil {
		return o, err
	}
	if o.StatusInterval == 0 {
		o.StatusInterval = 10 * time.Second
	}
	if o.Timeout < 0 {
		return o, fmt.Errorf("invalid timeout: %v", o.Timeout)
	}
	if o.MaxRate != 0 && (o.MaxRate < 32 || o.MaxRate > 1<<20) {
		return o, fmt.Errorf("transfer rate %d kB/s is out of range (32 to 1048576)", o.MaxRate)
	}
	if o.TablespaceMap, err = cleanTablespaceMap(o.TablespaceMap); err != nil {
		return o, err
	}
	if o.walPatience == 0 {
		o.walPatience = defaultWALPatience
	}
	if o.walInterval == 0 {
		o.walInterval = defaultWALInterval
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
		var err error
		if clean[from], err = absolute(to); err != nil {
			return nil, err
		}
	}
	return clean, nil
}
