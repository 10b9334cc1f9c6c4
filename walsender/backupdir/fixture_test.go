package backupdir_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/manifest"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/backupdir"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

var (
	_ walsender.Cluster       = (*backupdir.Backup)(nil)
	_ walsender.WALLister     = (*backupdir.Backup)(nil)
	_ walsender.Historian     = (*backupdir.Backup)(nil)
	_ walsender.BackupChecker = (*backupdir.Backup)(nil)
	_ walsender.Reopener      = (*backupdir.Backup)(nil)
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// take takes a backup of a cluster with the client. A tablespace goes beside the backup.
func take(t *testing.T, cluster walsender.Cluster, changes ...func(*client.Options)) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "backup")
	_, err := copyOf(t, cluster, dir, changes...)
	must(t, err)
	return dir
}

// clone is a copy of a backup in plain format, whose tablespace is copied, too.
func clone(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "backup")
	must(t, os.CopyFS(to, os.DirFS(dir)))
	must(t, os.CopyFS(to+".space", os.DirFS(dir+".space")))
	link := filepath.Join(to, "pg_tblspc/16390")
	must(t, os.RemoveAll(link))
	must(t, os.Symlink(to+".space", link))
	return to
}

// copyOf has the client copy a cluster.
func copyOf(t *testing.T, cluster walsender.Cluster, dir string, changes ...func(*client.Options)) (client.Result, error) {
	t.Helper()
	server := walsendertest.NewServer(t, cluster)
	config, err := server.ConnConfig()
	must(t, err)
	o := client.Options{ConnConfig: config, Dir: dir, Jobs: 4, NoSync: true, FastCheckpoint: true, TablespaceMap: map[string]string{}}
	tablespaces, err := cluster.Tablespaces(t.Context(), false)
	must(t, err)
	for _, space := range tablespaces {
		if space.OID != 0 && !space.InPlace() {
			o.TablespaceMap[space.Location] = dir + ".space"
		}
	}
	for _, change := range changes {
		change(&o)
	}
	return client.Backup(t.Context(), o)
}

func inTar(o *client.Options) {
	o.Archive, o.TablespaceMap = &client.ArchiveOptions{}, nil
}

// sample is a small primary that runs, with a tablespace.
func sample(t *testing.T) *walsendertest.Cluster {
	c := walsendertest.RunningPrimary()
	c.Sample.Relations, c.Sample.RelationPages = 2, 3
	c.Sample.Tablespaces = []walsendertest.SampleTablespace{{OID: 16390, Location: filepath.Join(t.TempDir(), "space")}}
	return c
}

func open(t *testing.T, dir string, o backupdir.Options) *backupdir.Backup {
	t.Helper()
	b, err := backupdir.Open(dir, o)
	must(t, err)
	t.Cleanup(func() { must(t, b.Close()) })
	return b
}

// start starts a backup of the backup.
func start(t *testing.T, b *backupdir.Backup) (protocol.StartPoint, protocol.RunningBackup, []string, error) {
	t.Helper()
	var notices []string
	point, running, err := b.StartBackup(t.Context(), protocol.BackupRequest{Label: "another", Notice: func(n *protocol.Error) { notices = append(notices, n.Message) }})
	return point, running, notices, err
}

// read reads a file as SEND_FILE does.
func read(t *testing.T, b *backupdir.Backup, name string) ([]byte, int, error) {
	t.Helper()
	f, err := b.Open(t.Context(), name, protocol.OpenOptions{
		StartPtr: b.Info().Start, VerifyChecksums: true, Notice: func(n *protocol.Error) { t.Log(n.Message) },
	})
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	content := make([]byte, 1<<20) // pages are read whole
	n, err := io.ReadFull(f, content)
	content = content[:n]
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = nil
	}
	if checked, ok := f.(walsender.CheckedFile); err == nil && ok {
		err = checked.Check()
	}
	failures := 0
	if verified, ok := f.(walsender.VerifiedFile); ok {
		failures = verified.ChecksumFailures()
	}
	return content, failures, err
}

// wantError holds an error against a SQLSTATE, or none, and a part of its text.
func wantError(t *testing.T, err error, code, text string) {
	t.Helper()
	if err == nil || code != "" && !protocol.HasCode(err, code) || !strings.Contains(err.Error(), text) {
		t.Errorf("error %v, want %s with %q", err, code, text)
	}
}

// readManifest reads the manifest of a backup.
func readManifest(t *testing.T, dir string) *manifest.Manifest {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "backup_manifest"))
	must(t, err)
	defer f.Close()
	m, err := manifest.Read(f)
	must(t, err)
	slices.SortFunc(m.Files, func(a, b manifest.File) int { return strings.Compare(a.Path, b.Path) })
	return m
}

// rewriteManifest changes the manifest of a backup.
func rewriteManifest(t *testing.T, dir string, change func(*manifest.Manifest)) {
	t.Helper()
	m := readManifest(t, dir)
	change(m)
	var text bytes.Buffer
	w := manifest.NewWriter(&text, manifest.Options{Version: m.Version, SystemID: m.SystemID})
	for _, f := range m.Files {
		must(t, w.AddFile(f))
	}
	must(t, w.Close(m.WALRanges...))
	must(t, os.WriteFile(filepath.Join(dir, "backup_manifest"), text.Bytes(), 0o600))
}

// flip changes a bit behind the first place where a file has some bytes.
func flip(t *testing.T, name string, bytesBefore []byte) {
	t.Helper()
	content, err := os.ReadFile(name)
	must(t, err)
	at := bytes.Index(content, bytesBefore)
	if at < 0 {
		t.Fatalf("%s has not what is looked for", name)
	}
	content[at+len(bytesBefore)-1] ^= 1
	must(t, os.WriteFile(name, content, 0o600))
}
