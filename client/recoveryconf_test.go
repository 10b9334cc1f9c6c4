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
	const old = "primary_conninfo = 'host=elsewhere'" // without the end of the line
	for _, ofStandby := range []bool{false, true} {
		for _, archive := range []*ArchiveOptions{nil, {}} {
			f := newFake(t)
			f.access, f.primary = protocol.WALStreamed, "host='/pg' port=5431"
			want := ""
			if ofStandby {
				want = old + "\n"
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
			want += "primary_conninfo = 'user=u host=''/pg'' port=5431'\nprimary_slot_name = ''\n"
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
	got := recoverySettings("user='it\\'s' host='/tmp' password='two\nlines'", "standby_1")
	want := `primary_conninfo = 'user=''it\\''s'' host=''/tmp'' password=''two\nlines'''` + "\nprimary_slot_name = 'standby_1'\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The last line of a setting counts, and those that say how recovery ends are no target.
func TestRecoveryTargets(t *testing.T) {
	for conf, want := range map[string][]string{
		"": nil,
		"recovery_target_timeline = 'latest'\nrecovery_target_action = promote\nrecovery_target_inclusive = false\n": nil,
		"recovery_target = ''\nrecovery_target_name = ''\n#recovery_target_lsn = '0/3'\n":                            nil,
		"recovery_target_lsn = '0/3000358'\nrecovery_target_lsn = ''\n":                                              nil,
		"recovery_target_xid =\nport = 1\n":                                                                          nil,
		"recovery_target_time = ''\nrecovery_target_lsn = '0/3000358'\n":                                             {"recovery_target_lsn"},
		"port = 1\n\tRecovery_Target_XID 700\nrecovery_target='immediate'":                                           {"recovery_target", "recovery_target_xid"},
	} {
		if diff := cmp.Diff(want, recoveryTargets(conf)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", conf, diff)
		}
	}
}

// What pg_createsubscriber of PostgreSQL 17 and 18 leaves on its server keeps a copy from
// becoming a standby: the backup says so, in either format.
func TestWriteRecoveryConf_WarnsOfRecoveryTarget(t *testing.T) {
	for _, archive := range []*ArchiveOptions{nil, {}} {
		for conf, want := range map[string]bool{"recovery_target_lsn = ''\n": false, "recovery_target_lsn = '0/3000358'\n": true} {
			f := newFake(t)
			f.access, f.primary = protocol.WALStreamed, "host=pg.example port=5431"
			f.files[output.AutoConfFile] = conf
			told := false
			_, err := Backup(t.Context(), Options{
				ConnConfig: f.config(), ConnInfo: connInfo(t, "host=/x user=u"), Dir: filepath.Join(t.TempDir(), "copy"), Archive: archive,
				WAL: WALOptions{Method: WALFetch}, WriteRecoveryConf: true,
				Log: func(e Event) {
					told = told || e.Level == LevelWarning && strings.Contains(e.Message, "recovery_target_lsn")
				},
			})
			must(t, err)
			if told != want {
				t.Errorf("%q: a warning: %v, want %v", conf, told, want)
			}
		}
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

// What the standby is to stream from is known before the backup starts, or there is none.
func TestWriteRecoveryConf_5_15_Primary(t *testing.T) {
	const primary = "host=pg.example port=5431"
	for name, c := range map[string]struct {
		access   protocol.WALAccess
		primary  string // that the server tells
		walLevel string
		given    string // by the user
		want     string // the primary_conninfo
		failure  string
	}{
		"told":                  {access: protocol.WALStreamed, primary: primary, walLevel: "replica", want: "user=u host=pg.example port=5431 sslmode=disable"},
		"not told":              {access: protocol.WALStreamed, want: "user=u host=''/x'' port=5432 sslmode=disable"},
		"nothing told":          {want: "user=u host=''/x'' port=5432 sslmode=disable"},
		"only host and port":    {access: protocol.WALStreamed, primary: primary + " user=mallory passfile=/x", want: "user=u host=pg.example port=5431 sslmode=disable"},
		"given":                 {access: protocol.WALStreamed, primary: primary, given: "host=other", want: "host=other"},
		"given, stopped":        {access: protocol.WALKept, given: "service=p", want: "service=p"},
		"stopped":               {access: protocol.WALKept, failure: "no PostgreSQL runs to stream"},
		"no stream":             {access: protocol.WALTransient, failure: "server does not stream"},
		"minimal":               {access: protocol.WALStreamed, primary: primary, walLevel: "minimal", failure: "wal_level"},
		"minimal, stopped":      {access: protocol.WALKept, given: "host=other", walLevel: "minimal", failure: "wal_level"},
		"nonsense":              {access: protocol.WALStreamed, primary: "host=a", failure: "invalid primary"},
		"a second line":         {access: protocol.WALStreamed, primary: "host='a\nb' port=1", failure: "invalid primary"},
		"given with two lines":  {given: "host=a\nport=1", failure: "control character"},
		"given, but no keyword": {given: "hots=a", failure: "hots"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.access, f.primary, f.walLevel = c.access, c.primary, c.walLevel
			dir := filepath.Join(t.TempDir(), "copy")
			_, err := Backup(t.Context(), Options{
				ConnConfig: f.config(), ConnInfo: connInfo(t, "host=/x user=u sslmode=disable"), Dir: dir, WAL: WALOptions{Method: WALFetch},
				WriteRecoveryConf: true, PrimaryConnInfo: c.given,
			})
			if c.failure != "" {
				if err == nil || !strings.Contains(err.Error(), c.failure) || len(f.commandsWith("START_BACKUP")) > 0 {
					t.Errorf("error is %v, want one with %q ahead of the backup", err, c.failure)
				}
				return
			}
			must(t, err)
			want := "primary_conninfo = '" + c.want + "'\nprimary_slot_name = ''\n"
			if got := read(t, dir, output.AutoConfFile); got != want {
				t.Errorf("postgresql.auto.conf is %q, want %q", got, want)
			}
		})
	}
	_, err := Backup(t.Context(), Options{ConnInfo: connInfo(t, "host=/x"), Dir: t.TempDir(), PrimaryConnInfo: "host=a"})
	if err == nil || !strings.Contains(err.Error(), "PrimaryConnInfo requires WriteRecoveryConf") {
		t.Errorf("without WriteRecoveryConf: %v", err)
	}
}

// A connection over the network may have met what the primary does not meet: the backup
// says so, once.
func TestWriteRecoveryConf_5_15_WarnsOfSettings(t *testing.T) {
	for connString, want := range map[string]bool{
		"host=backup user=u": false, "host=/x user=u require_auth=none": false, "host=backup user=u sslmode=verify-full": true,
	} {
		f := newFake(t)
		f.access, f.primary = protocol.WALStreamed, "host=pg.example port=5431"
		told := 0
		_, err := Backup(t.Context(), Options{
			ConnConfig: f.config(), ConnInfo: connInfo(t, connString), Dir: filepath.Join(t.TempDir(), "copy"), WAL: WALOptions{Method: WALFetch},
			WriteRecoveryConf: true,
			Log: func(e Event) {
				if e.Level == LevelWarning && strings.HasPrefix(e.Message, `primary_conninfo leads to PostgreSQL at pg.example:5431 as role "u": sslmode `) {
					told++
				}
			},
		})
		must(t, err)
		if (told == 1) != want || told > 1 {
			t.Errorf("%s: %d warnings", connString, told)
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
