package walsender_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol/manifest"
	"github.com/pgparallel/pgparallel/protocol/wire"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// received is the answer to a BASE_BACKUP as a client has it.
type received struct {
	messages []string          // their kinds, in order; of equal ones in a row the first
	rows     [][]byte          // the RowDescriptions
	names    []string          // of the archives, in order
	archives map[string][]byte // "base.tar" and the tablespaces' by their names
	failed   *pgproto3.ErrorResponse
}

// askBaseBackup sends a BASE_BACKUP over a new connection and takes it apart as
// pg_basebackup of the major version does.
func askBaseBackup(t *testing.T, network, address, command string, major int) *received {
	t.Helper()
	conn, err := net.Dial(network, address)
	must(t, err)
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(3 * patience))
	_, err = conn.Write(wire.StartupMessage{Major: 3, Parameters: map[string]string{"user": "postgres", "replication": "true"}}.Encode(nil))
	must(t, err)
	f := pgproto3.NewFrontend(conn, conn)
	awaitReady(t, f)
	f.Send(&pgproto3.Query{String: command})
	must(t, f.Flush())
	r := &received{archives: map[string][]byte{}}
	for {
		m, err := f.Receive()
		must(t, err)
		if _, over := m.(*pgproto3.ReadyForQuery); over {
			return r
		}
		r.take(t, m, major)
	}
}

func awaitReady(t *testing.T, f *pgproto3.Frontend) {
	t.Helper()
	for {
		m, err := f.Receive()
		must(t, err)
		switch m := m.(type) {
		case *pgproto3.ErrorResponse:
			t.Fatalf("%s", m.Message)
		case *pgproto3.ReadyForQuery:
			return
		}
	}
}

// take takes a message.
func (r *received) take(t *testing.T, m pgproto3.BackendMessage, major int) {
	kind := strings.TrimPrefix(fmt.Sprintf("%T", m), "*pgproto3.")
	switch m := m.(type) {
	case *pgproto3.NoticeResponse:
		return // about the archiving of WAL
	case *pgproto3.ErrorResponse:
		failed := *m
		r.failed = &failed
	case *pgproto3.RowDescription:
		encoded, err := m.Encode(nil)
		must(t, err)
		r.rows = append(r.rows, encoded)
	case *pgproto3.CommandComplete:
		kind += " " + string(m.CommandTag)
	case *pgproto3.CopyOutResponse:
		if major < 15 {
			r.names = append(r.names, fmt.Sprint(len(r.names)))
		}
	case *pgproto3.CopyData:
		if kind = r.data(m.Data, major); kind == "" {
			return
		}
	}
	if n := len(r.messages); n == 0 || r.messages[n-1] != kind {
		r.messages = append(r.messages, kind)
	}
}

// data takes the payload of a COPY, and tells what it was; nothing for a report of the
// progress, which comes when it likes.
func (r *received) data(p []byte, major int) string {
	last := func() string { return r.names[len(r.names)-1] }
	if major < 15 {
		r.archives[last()] = append(r.archives[last()], p...)
		return "CopyData"
	}
	switch p[0] {
	case 'n':
		name, location, _ := bytes.Cut(p[1:], []byte{0})
		r.names = append(r.names, string(name))
		return fmt.Sprintf("CopyData n %s %q", name, location)
	case 'm':
		r.names = append(r.names, "manifest")
	case 'd':
		r.archives[last()] = append(r.archives[last()], p[1:]...)
	case 'p':
		return ""
	}
	return "CopyData " + string(p[:1])
}

// member is what is compared of a member of an archive.
type member struct {
	Kind      byte
	Mode      int64
	UID, GID  int
	Link      string
	Uname     string
	Size      int64 // of a file that the shutdown leaves alone
	ModTime   time.Time
	Unchanged bool
}

// members reads an archive by its names, which it also returns in their order.
func members(t *testing.T, content []byte) (map[string]member, []string) {
	t.Helper()
	all, order := map[string]member{}, []string{}
	r := tar.NewReader(bytes.NewReader(content))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) && h == nil {
			return all, order
		}
		must(t, err)
		m := member{Kind: h.Typeflag, Mode: h.Mode, UID: h.Uid, GID: h.Gid, Link: h.Linkname, Uname: h.Uname}
		if strings.HasPrefix(h.Name, "base/") && !strings.HasSuffix(h.Name, "/") {
			m.Size, m.ModTime, m.Unchanged = h.Size, h.ModTime, true
		}
		all[h.Name] = m
		order = append(order, h.Name)
	}
}

// compareBaseBackup holds our BASE_BACKUP of a stopped cluster against the one that
// PostgreSQL gave while it ran.
func (c *stoppedCluster) compareBaseBackup(t *testing.T) {
	command := compareCommand(c.Programs.Major)
	want, got := c.running, askBaseBackup(t, c.addr.Network(), c.addr.String(), command, c.Programs.Major)
	if got.failed != nil {
		t.Fatalf("%s: %s", got.failed.Code, got.failed.Message)
	}
	if diff := cmp.Diff(want.messages, got.messages); diff != "" {
		t.Errorf("messages (-PostgreSQL +ours):\n%s", diff)
	}
	if diff := cmp.Diff(want.rows, got.rows); diff != "" {
		t.Errorf("descriptions of rows (-PostgreSQL +ours):\n%s", diff)
	}
	if diff := cmp.Diff(want.names, got.names); diff != "" {
		t.Errorf("archives (-PostgreSQL +ours):\n%s", diff)
	}
	for _, name := range want.names[:len(want.names)-1] {
		c.compareArchive(t, name, want.archives[name], got.archives[name])
	}
	last := want.names[len(want.names)-1]
	compareManifest(t, want.archives[last], got.archives[last])
}

// compareCommand asks for everything in the way of the major version.
func compareCommand(major int) string {
	if major < 15 {
		return "BASE_BACKUP LABEL 'compared' PROGRESS FAST WAL NOWAIT MANIFEST 'yes' MANIFEST_CHECKSUMS 'SHA256'"
	}
	return "BASE_BACKUP (LABEL 'compared', PROGRESS, CHECKPOINT 'fast', WAL, WAIT 0, MANIFEST 'yes', MANIFEST_CHECKSUMS 'SHA256')"
}

// changes reports whether a member is one that starting, stopping or the backup itself makes
// or changes.
func changes(name string) bool {
	return name == "backup_label" || name == "postmaster.opts" || name == "current_logfiles" ||
		strings.HasPrefix(name, "pg_wal/") || strings.HasPrefix(name, "pg_stat/") ||
		strings.HasPrefix(name, "pg_logical/") || strings.HasSuffix(name, "/pg_internal.init")
}

// compareArchive compares two archives, member by member.
func (c *stoppedCluster) compareArchive(t *testing.T, name string, want, got []byte) {
	t.Helper()
	wantMembers, wantOrder := members(t, want)
	gotMembers, gotOrder := members(t, got)
	forgotten := func(name string, m member) bool { return changes(name) || c.unlogged(t, name) }
	maps.DeleteFunc(wantMembers, forgotten)
	maps.DeleteFunc(gotMembers, forgotten)
	if diff := cmp.Diff(wantMembers, gotMembers); diff != "" {
		t.Errorf("%s: members (-PostgreSQL +ours):\n%s", name, diff)
	}
	// The WAL is what follows pg_control.
	afterControl := func(order []string) int { return len(order) - slices.Index(order, "global/pg_control") }
	if slices.Contains(wantOrder, "global/pg_control") && (afterControl(gotOrder) < 3 || afterControl(wantOrder) < 3) {
		t.Errorf("%s: pg_control is not where it belongs: %v", name, gotOrder)
	}
	if len(got)%512 != 0 {
		t.Errorf("%s: %d bytes", name, len(got))
	}
	if zeros := make([]byte, 1024); bytes.HasSuffix(want, zeros) != bytes.HasSuffix(got, zeros) {
		t.Errorf("%s: ends otherwise than PostgreSQL's", name)
	}
}

// unlogged reports whether a member belongs to an unlogged relation, which recovery makes
// anew, and a stopped cluster needs.
func (c *stoppedCluster) unlogged(_ *testing.T, name string) bool {
	return c.unloggedPath != "" && name == c.unloggedPath
}

// compareManifest compares the manifests, but for what changes.
func compareManifest(t *testing.T, want, got []byte) {
	t.Helper()
	read := func(content []byte) map[string]string {
		m, err := manifest.Read(bytes.NewReader(content))
		must(t, err)
		files := map[string]string{}
		for _, f := range m.Files {
			if strings.HasPrefix(f.Path, "base/") {
				files[f.Path] = fmt.Sprintf("%d %v %v %x", f.Size, f.ModTime.Unix(), f.Algorithm, f.Checksum)
			}
		}
		return files
	}
	wantFiles, gotFiles := read(want), read(got)
	for path := range gotFiles {
		if _, both := wantFiles[path]; !both {
			delete(gotFiles, path) // of the unlogged relation
		}
	}
	if diff := cmp.Diff(wantFiles, gotFiles); diff != "" {
		t.Errorf("manifest (-PostgreSQL +ours):\n%s", diff)
	}
}

// ask has PostgreSQL give the BASE_BACKUP that ours is compared with.
func (c *stoppedCluster) ask(t *testing.T, p postgres.Programs) {
	t.Helper()
	c.running = askBaseBackup(t, "unix", fmt.Sprintf("%s/.s.PGSQL.%d", c.SocketDir, c.Port), compareCommand(p.Major), p.Major)
	if c.running.failed != nil {
		t.Fatalf("PostgreSQL: %s", c.running.failed.Message)
	}
}
