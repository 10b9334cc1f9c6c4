package main

import (
	"path/filepath"

	"github.com/pgparallel/pgparallel/client"
)

// compression is what -z and -Z come to: -z is -Z gzip, unless there is a -Z.
func (c *backupCommand) compression() client.Compression {
	if c.Gzip && !c.Compress.given {
		return client.Compression{Method: client.CompressionGzip}
	}
	return c.Compress.Compression
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
