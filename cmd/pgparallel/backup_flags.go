package main

import (
	"errors"

	"github.com/pgparallel/pgparallel/client"
)

type backupCommand struct {
	Pgdata            string       `short:"D"`
	Format            outputFormat `short:"F"`
	Jobs              jobCount     `short:"j" default:"1"`
	MaxRate           transferRate `short:"r"`
	WriteRecoveryConf bool         `short:"R"`
	PrimaryConninfo   string
	TablespaceMapping []tablespaceMapping `short:"T" sep:"none"`
	Waldir            string
	WALMethod         walMethod   `name:"wal-method" short:"X"`
	Gzip              bool        `short:"z"`
	Compress          compression `short:"Z"`

	Checkpoint          checkpointMode     `short:"c"`
	Label               string             `short:"l"`
	NoClean             bool               `short:"n"`
	NoSync              bool               `short:"N"`
	Progress            bool               `short:"P"`
	Verbose             bool               `short:"v"`
	ManifestChecksums   *checksumAlgorithm // nil: the default
	ManifestForceEncode bool
	NoEstimateSize      bool
	NoManifest          bool
	NoDescriptors       bool
	NoVerifyChecksums   bool
	SyncMethod          syncMethod
	Target              backupTarget `short:"t"`

	runOptions
	slotOptions
	connectionOptions

	line *progressLine // nil: none is shown
	told bool          // why it failed
}

// runOptions are about how a backup is run, where pg_basebackup has no such options.
type runOptions struct {
	MinJobs workerCount
	DryRun  bool
	Force   bool
	Refresh bool
	InPlace bool
	JSON    bool `name:"json"`
	Timeout silenceLength
}

// slotOptions are about the stream of WAL and its replication slot.
type slotOptions struct {
	Slot           string         `short:"S"`
	CreateSlot     bool           `short:"C"`
	NoSlot         bool           `name:"no-slot"`
	StatusInterval statusInterval `short:"s" default:"10"`
}

// wal is what the client has to know of them.
func (o slotOptions) wal(method client.WALMethod, dir string) client.WALOptions {
	return client.WALOptions{
		Method: method, Dir: dir,
		Slot: o.Slot, CreateSlot: o.CreateSlot, NoSlot: o.NoSlot, StatusInterval: o.StatusInterval.duration(),
	}
}

// options are the client's. Whether they go together is the client's to say, but for what
// only the command line can have said. log is told of events, here and by the client.
func (c *backupCommand) options(log func(client.Event)) (client.Options, error) {
	if err := c.checkFlags(); err != nil {
		return client.Options{}, err
	}
	tablespaces, err := tablespaceMap(c.TablespaceMapping)
	if err != nil {
		return client.Options{}, err
	}
	info, err := c.connInfo(func(text string) { log(client.Event{Level: client.LevelWarning, Message: text}) })
	if err != nil {
		return client.Options{}, err
	}
	options := client.Options{
		ConnInfo:          info,
		Timeout:           c.Timeout.duration(),
		Dir:               c.Pgdata,
		TablespaceMap:     tablespaces,
		WAL:               c.wal(c.WALMethod.WALMethod, c.Waldir),
		Manifest:          c.manifest(),
		WriteRecoveryConf: c.WriteRecoveryConf,
		PrimaryConnInfo:   c.PrimaryConninfo,
		Jobs:              int(c.Jobs),
		MinJobs:           int(c.MinJobs),
		Label:             c.Label,
		FastCheckpoint:    c.Checkpoint.fast,
		MaxRate:           int(c.MaxRate),
		Force:             c.Force,
		Refresh:           c.Refresh,
		InPlace:           c.InPlace,
		NoVerifyChecksums: c.NoVerifyChecksums,
		NoDescriptors:     c.NoDescriptors,
		NoSync:            c.NoSync,
		NoClean:           c.NoClean,
		SyncMethod:        c.SyncMethod.SyncMethod,
		Log:               log,
	}
	if c.Format.tar {
		options.Archive = &client.ArchiveOptions{Compression: c.compression()}
	}
	return options, nil
}

// manifest is what the client has to know of the manifest.
func (c *backupCommand) manifest() client.ManifestOptions {
	o := client.ManifestOptions{Omit: c.NoManifest, ForceEncode: c.ManifestForceEncode}
	if c.ManifestChecksums != nil {
		o.Checksums = c.ManifestChecksums.ChecksumAlgorithm
	}
	return o
}

// checkFlags reports flags that do not go together where the client's options cannot say
// so, in pg_basebackup's words.
func (c *backupCommand) checkFlags() error {
	switch {
	case !c.Format.tar && c.compression().Method != client.CompressionNone:
		return usagef("only tar mode backups can be compressed")
	case !c.Format.tar && c.Pgdata == "-":
		return usagef("only a backup in tar format can be written to stdout")
	case c.JSON && !c.DryRun && c.Pgdata == "-":
		return usagef("--json and a backup to stdout are incompatible options")
	case c.NoManifest && c.ManifestChecksums != nil:
		return usagef("--no-manifest and --manifest-checksums are incompatible options")
	case c.Progress && c.NoEstimateSize:
		return usagef("--progress and --no-estimate-size are incompatible options")
	}
	return nil
}

// flagNames are the flags by the fields of [client.Options] that they set.
var flagNames = map[string]string{
	"Archive": "--format=tar", "Archive.Compression": "--compress", "Archive.Output": "--pgdata=-",
	"ConnInfo": "--dbname", "Dir": "--pgdata", "InPlace": "--in-place", "Refresh": "--refresh", "FastCheckpoint": "--checkpoint", "Force": "--force", "Jobs": "--jobs",
	"Label": "--label", "Manifest.Checksums": "--manifest-checksums", "Manifest.ForceEncode": "--manifest-force-encode",
	"Manifest.Omit": "--no-manifest", "MaxRate": "--max-rate", "MinJobs": "--min-jobs", "NoClean": "--no-clean",
	"NoDescriptors": "--no-descriptors", "NoSync": "--no-sync", "NoVerifyChecksums": "--no-verify-checksums",
	"PrimaryConnInfo": "--primary-conninfo", "SyncMethod": "--sync-method",
	"TablespaceMap": "--tablespace-mapping", "Timeout": "--timeout", "WAL.CreateSlot": "--create-slot", "WAL.Dir": "--waldir",
	"WAL.Method": "--wal-method", "WAL.NoSlot": "--no-slot", "WAL.Slot": "--slot", "WAL.StatusInterval": "--status-interval",
	"WriteRecoveryConf": "--write-recovery-conf",
}

// asUsage is the client's error about options as one about flags.
func asUsage(err error) error {
	if wrong, ok := errors.AsType[*client.OptionError](err); ok {
		return usagef("%s", wrong.Text(func(field string) string { return flagNames[field] }))
	}
	return err
}

// tablespaceMap is the mappings as the client takes them.
func tablespaceMap(mappings []tablespaceMapping) (map[string]string, error) {
	directories := make(map[string]string, len(mappings))
	for _, m := range mappings {
		if other, twice := directories[m.old]; twice && other != m.new {
			return nil, usagef("tablespace %q is mapped to %q and to %q", m.old, other, m.new)
		}
		directories[m.old] = m.new
	}
	return directories, nil
}
