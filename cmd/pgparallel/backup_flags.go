package main

import (
	"path/filepath"

	"github.com/pgparallel/pgparallel/client"
)

type backupCommand struct {
	Pgdata            string              `short:"D"`
	Format            outputFormat        `short:"F"`
	Jobs              jobCount            `short:"j" default:"1"`
	MaxRate           transferRate        `short:"r"`
	WriteRecoveryConf bool                `short:"R"`
	TablespaceMapping []tablespaceMapping `short:"T" sep:"none"`
	Waldir            string
	WALMethod         walMethod   `name:"wal-method" short:"X"`
	Gzip              bool        `short:"z"`
	Compress          compression `short:"Z"`

	Checkpoint          checkpointMode `short:"c"`
	Label               string         `short:"l"`
	NoClean             bool           `short:"n"`
	NoSync              bool           `short:"N"`
	Progress            bool           `short:"P"`
	Verbose             bool           `short:"v"`
	ManifestChecksums   checksumAlgorithm
	ManifestForceEncode bool
	NoEstimateSize      bool
	NoManifest          bool
	NoVerifyChecksums   bool

	runOptions
	slotOptions
	connectionOptions
}

// runOptions are about how a backup is run, where pg_basebackup has no such options.
type runOptions struct {
	MinJobs workerCount
	DryRun  bool
	Force   bool
	JSON    bool `name:"json"`
	Timeout silenceLength
}

// apply sets what the client has to know of them.
func (o runOptions) apply(to *client.Options) error {
	if int(o.MinJobs) > to.Jobs {
		return usagef("--min-jobs must not be above --jobs")
	}
	to.MinJobs, to.Force, to.Timeout = int(o.MinJobs), o.Force, o.Timeout.duration()
	return nil
}

// slotOptions are about the stream of WAL and its replication slot.
type slotOptions struct {
	Slot           string         `short:"S"`
	CreateSlot     bool           `short:"C"`
	NoSlot         bool           `name:"no-slot"`
	StatusInterval statusInterval `short:"s" default:"10"`
}

// apply sets what the client has to know of them, and refuses what does not go
// together, in pg_basebackup's words.
func (o slotOptions) apply(to *client.Options) error {
	to.Slot, to.CreateSlot, to.NoSlot, to.StatusInterval = o.Slot, o.CreateSlot, o.NoSlot, o.StatusInterval.duration()
	method := to.WAL
	streamed := method == client.WALDefault || method == client.WALStream
	switch {
	case o.Slot != "" && !streamed:
		return usagef("replication slots can only be used with WAL streaming")
	case o.NoSlot && o.Slot != "":
		return usagef("--no-slot cannot be used with slot name")
	case o.NoSlot && o.CreateSlot:
		return usagef("--create-slot and --no-slot are incompatible options")
	case o.NoSlot && !streamed:
		return usagef("--no-slot can only be used with WAL streaming")
	case o.CreateSlot && o.Slot == "":
		return usagef("--create-slot needs a slot to be specified using --slot")
	}
	return nil
}

func (c *backupCommand) options(out *console) (client.Options, error) {
	if c.Pgdata == "" {
		return client.Options{}, usagef("no target directory specified")
	}
	if err := c.checkFormat(); err != nil {
		return client.Options{}, err
	}
	tablespaces, err := tablespaceMap(c.TablespaceMapping)
	if err != nil {
		return client.Options{}, err
	}
	info, err := c.connInfo(out)
	if err != nil {
		return client.Options{}, err
	}
	options := client.Options{
		ConnInfo:            info,
		Dir:                 c.Pgdata,
		Format:              c.Format.Format,
		Compression:         c.compression(),
		WALDir:              c.Waldir,
		WriteRecoveryConf:   c.WriteRecoveryConf,
		ManifestForceEncode: c.ManifestForceEncode,
		NoEstimateSize:      c.NoEstimateSize,
		Jobs:                int(c.Jobs),
		Label:               c.Label,
		FastCheckpoint:      c.Checkpoint.fast,
		MaxRate:             int(c.MaxRate),
		WAL:                 c.WALMethod.WALMethod,
		TablespaceMap:       tablespaces,
		ManifestChecksums:   c.ManifestChecksums.ChecksumAlgorithm,
		NoManifest:          c.NoManifest,
		NoVerifyChecksums:   c.NoVerifyChecksums,
		NoSync:              c.NoSync,
		NoClean:             c.NoClean,
		Log:                 func(e client.Event) { tell(out, e, c.Verbose) },
	}
	if err := c.runOptions.apply(&options); err != nil {
		return options, err
	}
	return options, c.slotOptions.apply(&options)
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

// checkFormat reports options that do not fit together, in pg_basebackup's words.
func (c *backupCommand) checkFormat() error {
	tar := c.Format.Format == client.FormatTar
	switch {
	case !tar && c.compression().Method != client.CompressionNone:
		return usagef("only tar mode backups can be compressed")
	case !tar && c.Pgdata == "-":
		return usagef("only a backup in tar format can be written to stdout")
	case c.JSON && !c.DryRun && c.Pgdata == "-":
		return usagef("--json and a backup to stdout are incompatible options")
	case c.Pgdata == "-" && c.WALMethod.WALMethod == client.WALStream:
		return usagef("cannot stream write-ahead logs in tar mode to stdout")
	case tar && c.Waldir != "":
		return usagef("WAL directory location can only be specified in plain mode")
	case c.Waldir != "" && !filepath.IsAbs(c.Waldir):
		return usagef("WAL directory location must be an absolute path")
	case c.NoManifest && c.ManifestForceEncode:
		return usagef("--no-manifest and --manifest-force-encode are incompatible options")
	case c.Progress && c.NoEstimateSize:
		return usagef("--progress and --no-estimate-size are incompatible options")
	}
	return nil
}
