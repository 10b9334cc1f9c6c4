package walsender

import (
	"context"
	"os"
	"strconv"
	"strings"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/tarheader"
	"github.com/pgparallel/pgparallel/sharedstate"
	"github.com/pgparallel/pgparallel/walsender/internal/basebackup"
	"github.com/pgparallel/pgparallel/walsender/internal/compression"
	"github.com/pgparallel/pgparallel/walsender/internal/impossible"
)

// controlFile is what comes after every other file (§4.8).
const controlFile = "global/pg_control"

// sendTablespace sends a tablespace's archive.
func (b *baseBackup) sendTablespace(ctx context.Context, t protocol.Tablespace, writer compression.Writer) error {
	a, err := b.stream.BeginArchive(t, b.compression.Suffix(), writer)
	if err != nil {
		return err
	}
	if err := b.sendListing(ctx, a, strconv.FormatUint(uint64(t.OID), 10)); err != nil {
		return err
	}
	return a.End()
}

// sendDataDirectory sends the archive of the data directory, and stops the backup on the
// way. pg_control is read ahead of the stop and sent when all else is there but the WAL:
// that includes a label that the cluster knows at the stop only.
func (b *baseBackup) sendDataDirectory(ctx context.Context, writer compression.Writer) (stop protocol.BackupStop, err error) {
	a, err := b.stream.BeginArchive(protocol.Tablespace{}, b.compression.Suffix(), writer)
	if err != nil {
		return stop, err
	}
	if err := b.sendLabel(a, b.from.Label); err != nil {
		return stop, err
	}
	if err := b.sendListing(ctx, a, ""); err != nil {
		return stop, err
	}
	for _, t := range b.inPlace {
		if err := b.sendListing(ctx, a, strconv.FormatUint(uint64(t.OID), 10)); err != nil {
			return stop, err
		}
	}
	control, err := b.readControl(ctx)
	if err != nil {
		return stop, err
	}
	if stop, err = b.stopBackup(ctx); err != nil {
		return stop, err
	}
	if b.from.Label == "" {
		if err := b.sendLabel(a, stop.Label); err != nil {
			return stop, err
		}
	}
	if err := b.sendContent(a, control); err != nil {
		return stop, err
	}
	if b.options.WAL {
		if err := b.sendWAL(ctx, a, stop); err != nil {
			return stop, err
		}
	}
	return stop, a.End()
}

// sendLabel sends backup_label, and tablespace_map where it is asked for. Without a label
// PostgreSQL would not read the map: the links are in the archive then.
func (b *baseBackup) sendLabel(a *basebackup.Archive, label string) error {
	if label == "" {
		return nil
	}
	if err := b.sendContent(a, injected("backup_label", []byte(label))); err != nil {
		return err
	}
	if !b.options.TablespaceMap {
		return nil
	}
	return b.sendContent(a, injected("tablespace_map", basebackup.TablespaceMap(b.tablespaces)))
}

// sendsLinks reports whether the links of tablespaces are in the archive.
func (b *baseBackup) sendsLinks() bool { return !b.options.TablespaceMap || b.from.Label == "" }

// sendListing sends what the cluster lists of a tablespace, or of the data directory, in
// the order of the listing.
func (b *baseBackup) sendListing(ctx context.Context, a *basebackup.Archive, tablespace string) error {
	for f, err := range b.cluster.Files(ctx, tablespace, b.notice) {
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := impossible.File("Files", f); err != nil {
			return err
		}
		if err := b.sendMember(ctx, a, f); err != nil {
			return err
		}
	}
	return nil
}

// sendMember sends a row of the listing.
func (b *baseBackup) sendMember(ctx context.Context, a *basebackup.Archive, f protocol.File) error {
	if err := protocol.CheckPath(f.Path); err != nil {
		return impossible.Error("Files", err)
	}
	h := b.memberHeader(a, f)
	switch f.Type {
	case protocol.TypeDirectory:
		if strings.HasPrefix(f.Path, "pg_tblspc/") && a.Prefix == "" && !b.sendsLinks() {
			return nil
		}
		h.Kind = tarheader.Directory
		return a.Header(h)
	case protocol.TypeLink:
		h.Kind, h.Link = tarheader.Symlink, b.target(f.Path)
		if h.Link == "" || !b.sendsLinks() {
			return nil
		}
		return a.Header(h)
	}
	if f.Path == controlFile {
		b.control = f
		return nil
	}
	end, err := b.entry.BeginFile(sharedstate.DataFile)
	if err != nil {
		return err
	}
	defer end(false)
	if err := b.sendRegular(ctx, a, f, h); err != nil {
		return err
	}
	end(true)
	return nil
}

// target is where the link of a tablespace leads, or nothing for one that there was not
// when the backup began: replay makes it.
func (b *baseBackup) target(path string) string {
	for _, t := range b.tablespaces {
		if t.OID != 0 && path == "pg_tblspc/"+strconv.FormatUint(uint64(t.OID), 10) {
			return t.Location
		}
	}
	return ""
}

// memberHeader is the header of a regular file without its size. Where a cluster tells no
// modes and owners, they are those of the data directory, and of this process.
func (b *baseBackup) memberHeader(a *basebackup.Archive, f protocol.File) tarheader.Header {
	h := tarheader.Header{
		Name: strings.TrimPrefix(f.Path, a.Prefix), Kind: tarheader.Regular,
		Mode: f.Mode, UID: f.UID, GID: f.GID, ModTime: f.ModTime,
	}
	if strings.HasPrefix(h.Name, "pg_wal/") && f.Type == protocol.TypeDirectory {
		h.Name = "./" + h.Name // as PostgreSQL writes it
	}
	if f.Mode == 0 {
		h.Mode = b.defaultMode(f.Type)
		h.UID, h.GID = thisUser()
	}
	return h
}

// defaultMode is the mode that initdb gives (§5.10).
func (b *baseBackup) defaultMode(kind protocol.FileType) uint32 {
	directory := uint32(b.settings.DataDirectoryMode.Perm())
	switch kind {
	case protocol.TypeLink:
		return 0o777
	case protocol.TypeDirectory:
		return directory
	}
	return directory &^ 0o111
}

// thisUser is who runs the server.
func thisUser() (uid, gid uint32) {
	return uint32(max(os.Geteuid(), 0)), uint32(max(os.Getegid(), 0))
}
