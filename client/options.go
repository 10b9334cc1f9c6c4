package client

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/client/internal/datatree"
	"github.com/pgparallel/pgparallel/protocol/conninfo"
	"github.com/pgparallel/pgparallel/protocol/manifest"
)

// DefaultLabel is the label of a backup whose [Options] name none.
const DefaultLabel = "pgparallel base backup"

// Options say what to back up, and to where. ConnInfo, or ConnConfig, and Dir, or
// Archive.Output, are required; the zero value of all else is a sound default. [Backup]
// changes nothing in them.
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

	// Timeout is how long the server may be silent while it owes an answer, on
	// any connection, before the backup fails; 0 means as long as it likes. It
	// holds for the checkpoint too, which is waited for in silence, but not for
	// what the server says that it waits for, as its archive. TCP keepalives, which
	// find a server that is gone within a minute, are on besides, unless ConnInfo
	// says otherwise.
	Timeout time.Duration

	// Dir is the directory to write. It must be empty or absent; missing
	// parents are created. With Archive.Output it is not used.
	Dir string

	// Archive has the backup written as tar archives. Nil means plain: a data
	// directory, and the directories of its tablespaces.
	Archive *ArchiveOptions

	// TablespaceMap gives tablespaces another directory: the location on the
	// server to the one to write, both absolute. A tablespace that is not in
	// it goes to its own location, which must be empty or absent here.
	TablespaceMap map[string]string

	WAL      WALOptions
	Manifest ManifestOptions

	// WriteRecoveryConf has a server that is started from the backup become a
	// standby of the PostgreSQL that the backup is one of: it adds primary_conninfo,
	// and WAL.Slot, or none, as primary_slot_name to postgresql.auto.conf, and creates
	// standby.signal. Where the server streams no WAL, and PrimaryConnInfo does not
	// say where else it comes from, the backup is refused before it starts; so it is
	// where wal_level is minimal.
	WriteRecoveryConf bool

	// PrimaryConnInfo is the primary_conninfo of WriteRecoveryConf, as it is to be
	// written. Empty means [conninfo.Info.PrimaryConnInfo] of ConnInfo, which is
	// required then, with the address of PostgreSQL that the server tells (§5.15).
	PrimaryConnInfo string

	// Jobs is the number of connections that copy files; 0 means 1. One more
	// leads the backup.
	Jobs int

	// MinJobs is how many of the connections that copy files are enough, where
	// others cannot be opened or cannot join the backup (§5.4); 0 means that
	// all of them are needed.
	MinJobs int

	// Label goes into backup_label; empty means [DefaultLabel].
	Label string

	// FastCheckpoint asks for an immediate checkpoint instead of one that is
	// spread over checkpoint_completion_target.
	FastCheckpoint bool

	// MaxRate is the most that all connections transfer together, in kB (of
	// 1024 bytes) per second, [MaxRateLower] to [MaxRateUpper]; 0 means no limit.
	// The server enforces it.
	MaxRate int

	// Force removes what a backup that was killed has left in Dir, WAL.Dir and the
	// tablespaces' directories: all that is there. A directory that a server can
	// be started from, or may use, is none such.
	Force bool

	// Refresh makes the new backup of the one that is in Dir, finished or not, and copies only
	// what differs from the server by the digests of files and their blocks (§8.3): what is kept is
	// read, here and there, and not believed for its name or time. A finished backup stays as
	// it is until the new one takes its place, at once; until then no server may be started from
	// it. It is made beside it, in Dir with ".pgparallel-refresh" behind it, and of the same
	// blocks or files where the file system can share them. An unfinished one, of a Backup
	// that was killed, or left its files by NoClean, is taken up where it is. Where Dir is absent or
	// empty, all is copied. A backup that a server was started from is refused ([ErrStarted]),
	// as is another cluster's, one in tar format, and a server that has no digests.
	Refresh bool

	// InPlace has Refresh change a finished backup where it is. From the first change on it
	// is an unfinished one. It needs less room, and the directories for tablespaces and WAL that
	// the backup has; without it these must be others ([ErrNeedsInPlace]), and the old ones are
	// removed when the new backup has taken the place of the old one.
	InPlace bool

	NoDescriptors     bool // do not take files by descriptors where the server offers them (§8.4), but all over the connection
	NoVerifyChecksums bool // do not have the server verify the checksums of pages
	NoSync            bool // do not wait until the backup is on disk: for tests only
	NoClean           bool // on failure leave behind what was written

	// SyncMethod says by which calls the backup is brought to disk; the zero value
	// takes the fastest that is safe.
	SyncMethod SyncMethod

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

	// dryRun says that nothing may be changed.
	dryRun bool

	// step is called before each step of the run, with its name.
	step func(name string)
}

// SyncMethod says by which calls a backup is brought to disk.
type SyncMethod = datatree.SyncMethod

const (
	// SyncAuto asks each file system once, where it is known to do what it is asked for,
	// and each file elsewhere. It is the default.
	SyncAuto = datatree.SyncAuto
	// SyncFsync asks for each file and directory, with fsync.
	SyncFsync = datatree.SyncFsync
	// SyncSyncfs asks each file system once, with syncfs. Only Linux has that call, and
	// there are file systems that ignore it (FUSE, CIFS, 9p).
	SyncSyncfs = datatree.SyncSyncfs
)

// The bounds of [Options.MaxRate], in kB per second: PostgreSQL's, by the same names
// (basebackup.h).
const (
	MaxRateLower = 32
	MaxRateUpper = 1048576
)

// WALOptions say where the write-ahead log (WAL) comes from that makes a backup
// consistent, and where it goes. The zero value is [WALDefault], into pg_wal, with a
// temporary replication slot where it is streamed.
type WALOptions struct {
	Method WALMethod

	// Dir is a directory for the WAL, which pg_wal becomes a link to; an absolute
	// path. Like Options.Dir it must be empty or absent. It cannot be used with
	// Options.Archive. Empty means pg_wal itself.
	Dir string

	// Slot names the replication slot for WALStream, which must exist unless
	// CreateSlot is set; it stays when the backup is over. Empty means a
	// temporary one, or with NoSlot none: then the server keeps what
	// wal_keep_size says.
	Slot       string
	CreateSlot bool // create the slot; a backup that fails drops it again
	NoSlot     bool // means nothing where no WAL is streamed

	// StatusInterval is how often the server is told how much of the stream has
	// arrived; 0 means every ten seconds, less than 0 only when it asks.
	StatusInterval time.Duration
}

// ManifestOptions are about backup_manifest. The zero value writes one with CRC-32C
// checksums.
type ManifestOptions struct {
	Omit        bool                       // write none
	Checksums   manifest.ChecksumAlgorithm // of the files
	ForceEncode bool                       // encode all names, not only those that are not UTF-8
}

// ArchiveOptions have a backup written as tar archives: base.tar, and OID.tar for each
// tablespace, to be unpacked into empty directories, base.tar into the data directory, and
// that of an in-place tablespace into pg_tblspc/OID in it.
// WAL that is fetched is in base.tar, WAL that is streamed in pg_wal.tar, to be unpacked
// into pg_wal. The manifest lies beside them. Where the tablespaces are to be unpacked
// is written down in base.tar, [Options].TablespaceMap applied. The zero value does not
// compress, and writes the archives into [Options].Dir.
type ArchiveOptions struct {
	// Compression is by connection: each compresses what it receives, and keeps up
	// to 16 MiB for it beside what the method needs itself. Files of more than 4 MiB
	// that are compressed at the same time lie in Dir twice for a while, compressed,
	// all of them but one. On the way to Output they wait for each other instead.
	Compression Compression

	// Output is where base.tar goes, with the manifest in it, instead of into
	// Options.Dir. It is for clusters without tablespaces, and WAL that is not
	// streamed. What has been written cannot be taken back on failure. A write that
	// nobody takes holds a canceled backup up, unless Output has the method
	// SetWriteDeadline. Backup does not close it. Nil means Options.Dir.
	Output io.Writer
}

// Check returns an [*OptionError] where an option has a value that it cannot have, or
// options do not go together. [Backup] and [DryRun] begin with it; a program that asks its
// user for a password may want to know earlier.
func (o Options) Check() error {
	_, err := o.withDefaults()
	return err
}

// withDefaults is a copy of o that needs no further look at what may be zero, or
// the first thing that is wrong with o.
func (o Options) withDefaults() (Options, error) {
	if o.ConnConfig == nil && o.ConnInfo == nil {
		return o, wrongOption("no server specified", "ConnInfo")
	}
	if err := o.checkStandby(); err != nil {
		return o, err
	}
	for _, check := range []func(*Options) error{
		(*Options).checkTarget, (*Options).checkArchive, (*Options).checkRefresh, (*Options).checkWAL, (*Options).checkNumbers,
	} {
		if err := check(&o); err != nil {
			return o, err
		}
	}
	if o.Manifest.ForceEncode && o.Manifest.Omit {
		return o, wrongOption("%s and %s are incompatible options", "Manifest.Omit", "Manifest.ForceEncode")
	}
	if strings.IndexByte(o.Label, 0) >= 0 {
		return o, wrongOption("invalid backup label: it holds a zero byte", "Label")
	}
	o.setDefaults()
	return o, nil
}

// setDefaults gives a value to what is zero.
func (o *Options) setDefaults() {
	if o.output() != nil && o.WAL.Method == WALDefault {
		o.WAL.Method = WALFetch
	}
	o.Jobs = cmp.Or(o.Jobs, 1)
	o.Label = cmp.Or(o.Label, DefaultLabel)
	o.WAL.StatusInterval = cmp.Or(o.WAL.StatusInterval, 10*time.Second)
	o.walPatience = cmp.Or(o.walPatience, defaultWALPatience)
	o.walInterval = cmp.Or(o.walInterval, defaultWALInterval)
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	if o.Log == nil {
		o.Log = func(Event) {}
	}
	if o.step == nil {
		o.step = func(string) {}
	}
}

// output is where the archive goes instead of into Dir; nil: into Dir.
func (o *Options) output() io.Writer {
	if o.Archive == nil {
		return nil
	}
	return o.Archive.Output
}

// checkTarget makes the paths of directories absolute.
func (o *Options) checkTarget() error {
	if o.output() != nil {
		o.Dir = "" // nothing is written there
	} else if o.Dir == "" {
		return wrongOption("no target directory specified", "Dir")
	}
	var err error
	if o.Dir != "" {
		if o.Dir, err = datatree.Absolute(o.Dir); err != nil {
			return err
		}
	}
	o.TablespaceMap, err = cleanTablespaceMap(o.TablespaceMap)
	return err
}

func cleanTablespaceMap(m map[string]string) (map[string]string, error) {
	clean := make(map[string]string, len(m))
	for _, from := range slices.Sorted(maps.Keys(m)) {
		to := m[from]
		switch {
		case !filepath.IsAbs(from):
			return nil, wrongOption("old directory is not an absolute path in tablespace mapping: "+escaped(from), "TablespaceMap")
		case !filepath.IsAbs(to):
			return nil, wrongOption("new directory is not an absolute path in tablespace mapping: "+escaped(to), "TablespaceMap")
		}
		to, err := datatree.Absolute(to)
		if err != nil {
			return nil, err
		}
		from = filepath.Clean(from)
		if other, twice := clean[from]; twice && other != to {
			return nil, wrongOption(escaped(fmt.Sprintf("tablespace %q is mapped to %q and to %q", from, other, to)), "TablespaceMap")
		}
		clean[from] = to
	}
	return clean, nil
}

func (o *Options) checkArchive() error {
	if o.Archive == nil {
		return nil
	}
	if err := o.Archive.Compression.Check(); err != nil {
		return wrongOption(escaped(err.Error()), "Archive.Compression")
	}
	switch {
	case o.WAL.Dir != "":
		return wrongOption("WAL directory location can only be specified in plain mode", "WAL.Dir", "Archive")
	case o.Archive.Output != nil && o.WAL.Method == WALStream:
		return wrongOption("cannot stream write-ahead logs in tar mode to stdout", "WAL.Method", "Archive.Output")
	}
	return nil
}

func (o *Options) checkRefresh() error {
	switch {
	case o.Refresh && o.Archive != nil:
		return wrongOption("%s needs a backup in plain format: what is in an archive cannot be changed by itself", "Refresh", "Archive")
	case o.Refresh && o.Force:
		return wrongOption("%s and %s are incompatible options", "Refresh", "Force")
	case o.InPlace && !o.Refresh:
		return wrongOption("%s needs %s", "InPlace", "Refresh")
	}
	return nil
}

func (o *Options) checkNumbers() error {
	switch {
	case o.Jobs < 0:
		return wrongOption(fmt.Sprintf("%%s must be in range 0..%d", math.MaxInt32), "Jobs")
	case o.MinJobs < 0:
		return wrongOption(fmt.Sprintf("%%s must be in range 0..%d", math.MaxInt32), "MinJobs")
	case o.SyncMethod == SyncSyncfs && !datatree.CanSyncfs:
		return wrongOption(`this build does not support sync method "syncfs"`, "SyncMethod")
	case o.MinJobs > max(o.Jobs, 1):
		return wrongOption("%s must not be above %s", "MinJobs", "Jobs")
	case o.Timeout < 0:
		return wrongOption("%s must not be negative", "Timeout")
	case o.MaxRate != 0 && (o.MaxRate < MaxRateLower || o.MaxRate > MaxRateUpper):
		return wrongOption(fmt.Sprintf("transfer rate %d kB/s is out of range (%d to %d)", o.MaxRate, MaxRateLower, MaxRateUpper), "MaxRate")
	}
	return nil
}
