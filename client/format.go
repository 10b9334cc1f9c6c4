package client

import (
	"errors"
	"fmt"
	"path/filepath"
)

// Format says what a backup is written as.
type Format int

const (
	// FormatPlain is a data directory, and the directories of its tablespaces. It
	// is the default.
	FormatPlain Format = iota
	// FormatTar is an archive of each: base.tar, and OID.tar for a tablespace, to
	// be unpacked into empty directories, base.tar into the data directory. WAL
	// that is fetched is in base.tar, WAL that is streamed in pg_wal.tar, to be
	// unpacked into pg_wal. The manifest lies beside them. Where the tablespaces
	// are to be unpacked is written down in base.tar, [Options].TablespaceMap
	// applied.
	FormatTar
)

// checkFormat reports an error where an option does not fit the format.
func (o *Options) checkFormat() error {
	if err := o.Compression.Check(); err != nil {
		return err
	}
	switch {
	case o.Format != FormatPlain && o.Format != FormatTar:
		return fmt.Errorf("invalid output format %d", o.Format)
	case o.ManifestForceEncode && o.NoManifest:
		return errors.New("a manifest cannot be both encoded and omitted")
	case o.Format == FormatTar && o.WALDir != "":
		return errors.New("WAL directory location can only be specified in plain mode")
	case o.Output != nil && o.WAL == WALStream:
		return errors.New("cannot stream write-ahead logs in tar mode to stdout")
	case o.Format == FormatTar:
		return nil
	case o.Output != nil:
		return errors.New("only a backup in tar format can be written to stdout")
	case o.Compression.Method != CompressionNone:
		return errors.New("only tar mode backups can be compressed")
	case o.WALDir == "":
		return nil
	case !filepath.IsAbs(o.WALDir):
		return errors.New("WAL directory location must be an absolute path")
	}
	var err error
	if o.WALDir, err = absolute(o.WALDir); err != nil {
		return err
	}
	switch overlaps, err := overlap(o.WALDir, o.Dir); {
	case err != nil:
		return err
	case overlaps:
		return fmt.Errorf("WAL directory %q overlaps with the data directory %q", o.WALDir, o.Dir)
	}
	return nil
}
