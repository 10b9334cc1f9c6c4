package client

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/client/internal/outputtest"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/conninfo"
)

// Of a standby, standby.signal and settings for another primary come with the rest; of a
// primary there may be neither.
func TestWriteRecoveryConf(t *testing.T) {
	const old = "primary_conninfo = 'host=elsewhere'\n"
	for _, ofStandby := range []bool{false, true} {
		for _, archive := range []*ArchiveOptions{nil, {}} {
			f := newFake(t)
			want := ""
			if ofStandby {
				want = old
				f.files[output.AutoConfFile], f.files[output.StandbySignalFile] = old, ""
			}
			dir := filepath.Join(t.TempDir(), "copy")
			info := connInfo(t, "host=/x user=u dbname=d")
			_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: dir, Archive: archive, WAL: WALOptions{Method: WALFetch}, WriteRecoveryConf: true, ConnInfo: info})
			must(t, err)
			found := func(name string) string { return read(t, dir, name) }
			if archive != nil {
				archive := read(t, dir, "base.tar")
				if n := countMembers(t, archive, output.StandbySignalFile) + countMembers(t, archive, output.AutoConfFile); n != 2 {
					t.Errorf("the two files are there %d times", n)
				}
				found = func(name string) string { return outputtest.Members(t, strings.NewReader(archive))[name] }
			}
			want += "primary_conninfo = 'user=u host=''/x'' port=5432'\nprimary_slot_name = ''\n"
			if got := found(output.AutoConfFile); got != want {
				t.Errorf("postgresql.auto.conf is %q, want %q", got, want)
			}
			if got := found(output.StandbySignalFile); got != "" {
				t.Errorf("standby.signal is %q", got)
			}
			if archive != nil {
				continue
			}
			if info, err := os.Stat(filepath.Join(dir, output.AutoConfFile)); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("postgresql.auto.conf: %v, %v", info, err)
			}
		}
	}
}

// connInfo is a connection string as it is read without an environment.
func connInfo(t *testing.T, connString string) *conninfo.Info {
	t.Helper()
	info, err := conninfo.Resolve(connString, conninfo.Options{Replication: true})
	must(t, err)
	return info
}

// The lines are those of PostgreSQL's own program, quoted twice.
func TestRecoverySettings(t *testing.T) {
	got := recoverySettings(`user='it\'s' host='/tmp'`, "standby_1")
	want := `primary_conninfo = 'user=''it\\''s'' host=''/tmp'''` + "\nprimary_slot_name = 'standby_1'\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// countMembers is how often a name is in an archive.
func countMembers(t *testing.T, archive, name string) int {
	t.Helper()
	n := 0
	for r := tar.NewReader(strings.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return n
		}
		must(t, err)
		if h.Name == name {
			n++
		}
	}
}

// A server that streams nothing leads no standby, which is said.
func TestWriteRecoveryConf_ServerStreamsNothing(t *testing.T) {
	for _, wal := range []protocol.WALAccess{"", protocol.WALStreamed, protocol.WALKept, protocol.WALTransient} {
		f := newFake(t)
		f.access = wal
		warned := false
		_, err := Backup(t.Context(), Options{
			ConnConfig: f.config(), ConnInfo: connInfo(t, "host=/x"), Dir: filepath.Join(t.TempDir(), "copy"), WAL: WALOptions{Method: WALFetch}, WriteRecoveryConf: true,
			Log: func(e Event) {
				warned = warned || e.Level == LevelWarning && strings.Contains(e.Message, "streams no WAL")
			},
		})
		must(t, err)
		if want := wal == protocol.WALKept || wal == protocol.WALTransient; warned != want {
			t.Errorf("WAL %q: warned %v", wal, warned)
		}
	}
}

// Without -R, the copy of a standby is one too, and is said to be (B37).
func TestWriteRecoveryConf_NoticeOfStandby(t *testing.T) {
	for _, ofStandby := range []bool{false, true} {
		f := newFake(t)
		if ofStandby {
			f.files[output.StandbySignalFile] = ""
		}
		told := false
		_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: filepath.Join(t.TempDir(), "copy"), WAL: WALOptions{Method: WALFetch}, Log: func(e Event) {
			told = told || e.Level == LevelInfo && strings.Contains(e.Message, "one of a standby")
		}})
		must(t, err)
		if told != ofStandby {
			t.Errorf("of a standby: %v, told: %v", ofStandby, told)
		}
	}
}
