package walsender

import (
	"context"
	"os"
	"strconv"
	"strings"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/tarheader"
	"github.com/pgparallel/pgparallel/sharedstate"
	"github.com/pgparallel/pgparallel/walsender/internal/compression"
)

// firstInPlace is the first major version of PostgreSQL that sends a tablespace in place as
// an archive of its own. To those before, it is a directory like others.
const firstInPlace = 16

// controlFile is what comes after every other file (§4.8).
const controlFile = "global/pg_control"

// archive is a tar archive on its way.
type archive struct {
	stream *baseBackupStream
	writer compression.Writer
	prefix string // of the listing's paths, which is not in the archive
}

// beginArchive begins the archive of a tablespace, or of the data directory.
func (b *baseBackup) beginArchive(t protocol.Tablespace, writer compression.Writer) (*archive, error) {
	name, prefix := "base.tar", ""
	if t.OID != 0 {
		oid := strconv.FormatUint(uint64(t.OID), 10)
		name, prefix = oid+".tar", "pg_tblspc/"+oid+"/"
	}
	if err := b.stream.beginArchive(name+b.compression.Suffix(), t.Location); err != nil {
		return nil, err
	}
	writer.Reset(b.stream)
	return &archive{stream: b.stream, writer: writer, prefix: prefix}, nil
}

// endArchive ends an archive. Up to PostgreSQL 14 the zeros at the end are the client's.
func (b *baseBackup) endArchive(a *archive) error {
	if b.major >= firstOneStream {
		if err := a.write(make([]byte, tarheader.TrailerSize)); err != nil {
			return err
		}
	}
	if err := a.writer.Close(); err != nil {
		return err
	}
	return b.stream.endArchive()
}

func (a *archive) write(p []byte) error {
	if _, err := a.writer.Write(p); err != nil {
		return err
	}
	return a.stream.count(len(p))
}

// header begins a member.
func (a *archive) header(h tarheader.Header) error {
	block, err := h.Append(nil)
	if err != nil {
		return protocol.Errorf(protocol.CodeInternalError, "%s", err)
	}
	if err := a.write(block); err != nil {
		return err
	}
	return a.stream.endPart()
}

// pad ends a member with content of that size.
func (a *archive) pad(size int64) error {
	if err := a.stream.endPart(); err != nil {
		return err
	}
	if err := a.write(make([]byte, tarheader.Padding(size))); err != nil {
		return err
	}
	return a.stream.endPart()
}

// sendTablespace sends a tablespace's archive.
func (b *baseBackup) sendTablespace(ctx context.Context, t protocol.Tablespace, writer compression.Writer) error {
	a, err := b.beginArchive(t, writer)
	if err != nil {
		return err
	}
	if err := b.sendListing(ctx, a, strconv.FormatUint(uint64(t.OID), 10)); err != nil {
		return err
	}
	return b.endArchive(a)
}

// sendDataDirectory sends the archive of the data directory, and stops the backup on the
// way. pg_control is read ahead of the stop and sent when all else is there but the WAL:
// that includes a label that the cluster knows at the stop only.
func (b *baseBackup) sendDataDirectory(ctx context.Context, writer compression.Writer) (stop protocol.BackupStop, err error) {
	a, err := b.beginArchive(protocol.Tablespace{}, writer)
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
	return stop, b.endArchive(a)
}

// sendLabel sends backup_label, and tablespace_map where it is asked for. Without a label
// PostgreSQL would not read the map: the links are in the archive then.
func (b *baseBackup) sendLabel(a *archive, label string) error {
	if label == "" {
		return nil
	}
	if err := b.sendContent(a, injected("backup_label", []byte(label))); err != nil {
		return err
	}
	if !b.options.TablespaceMap {
		return nil
	}
	return b.sendContent(a, injected("tablespace_map", b.tablespaceMap()))
}

// tablespaceMap is the tablespace_map file: which link leads where.
func (b *baseBackup) tablespaceMap() []byte {
	escape := strings.NewReplacer("\n", "\\\n", "\r", "\\\r", "\\", "\\\\")
	var lines []byte
	for _, t := range b.tablespaces {
		if t.OID == 0 || t.InPlace() {
			continue
		}
		lines = strconv.AppendUint(lines, uint64(t.OID), 10)
		lines = append(lines, ' ')
		lines = append(lines, escape.Replace(t.Location)...)
		lines = append(lines, '\n')
	}
	return lines
}

// sendsLinks reports whether the links of tablespaces are in the archive.
func (b *baseBackup) sendsLinks() bool { return !b.options.TablespaceMap || b.from.Label == "" }

// sendListing sends what the cluster lists of a tablespace, or of the data directory, in
// the order of the listing.
func (b *baseBackup) sendListing(ctx context.Context, a *archive, tablespace string) error {
	for f, err := range b.cluster.Files(ctx, tablespace, b.notice) {
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := impossible("Files", checkFile(f)); err != nil {
			return err
		}
		if err := b.sendMember(ctx, a, f); err != nil {
			return err
		}
	}
	return nil
}

// sendMember sends a row of the listing.
func (b *baseBackup) sendMember(ctx context.Context, a *archive, f protocol.File) error {
	if err := protocol.CheckPath(f.Path); err != nil {
		return impossible("Files", err)
	}
	h := b.memberHeader(a, f)
	switch f.Type {
	case protocol.TypeDirectory:
		if strings.HasPrefix(f.Path, "pg_tblspc/") && a.prefix == "" && !b.sendsLinks() {
			return nil
		}
		h.Kind = tarheader.Directory
		return a.header(h)
	case protocol.TypeLink:
		h.Kind, h.Link = tarheader.Symlink, b.target(f.Path)
		if h.Link == "" || !b.sendsLinks() {
			return nil
		}
		return a.header(h)
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
func (b *baseBackup) memberHeader(a *archive, f protocol.File) tarheader.Header {
	h := tarheader.Header{
		Name: strings.TrimPrefix(f.Path, a.prefix), Kind: tarheader.Regular,
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
