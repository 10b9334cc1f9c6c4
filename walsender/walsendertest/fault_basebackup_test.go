package walsendertest_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/pgparallel/pgparallel/protocol/manifest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// baseBackup is what a client has received of a BASE_BACKUP (§9.1).
type baseBackup struct {
	parts map[string][]byte // archives, and the manifest
	last  string            // message, or how the connection ended
}

// takeBaseBackup asks for a backup with a manifest, and receives it as a client of the
// version does.
func takeBaseBackup(t *testing.T, s *walsendertest.Server, version int) baseBackup {
	t.Helper()
	c, _ := connect(t, s)
	command, names := "BASE_BACKUP (MANIFEST 'yes')", []string{}
	if version < 15 {
		command, names = "BASE_BACKUP MANIFEST 'yes'", []string{"16500.tar", "base.tar", "backup_manifest"}
	}
	c.Send(command)
	b, name := baseBackup{parts: map[string][]byte{}}, ""
	for {
		kind, body, err := c.Next()
		switch {
		case err != nil:
			b.last = fmt.Sprint(err)
			return b
		case kind == 'Z':
			return b
		case kind == 'H' && len(names) > 0:
			name, names = names[0], names[1:]
		case kind != 'd':
			b.last = string(kind)
		case version < 15:
			b.parts[name] = append(b.parts[name], body...)
		case body[0] == 'n':
			archive, _, _ := strings.Cut(string(body[1:]), "\x00")
			name = archive
		case body[0] == 'm':
			name = "backup_manifest"
		case body[0] == 'd':
			b.parts[name] = append(b.parts[name], body[1:]...)
		}
	}
}

// eachStream tests a fault with the stream of a backup as it is from 15 on, and as it was.
func eachStream(t *testing.T, fault walsendertest.Fault, test func(t *testing.T, whole, got baseBackup)) {
	for _, version := range []int{14, 15} {
		cluster := walsendertest.RunningPrimary()
		cluster.Sample.Version = version
		cluster.Sample.Tablespaces = []walsendertest.SampleTablespace{{OID: 16500, Location: "/srv/space"}}
		whole := takeBaseBackup(t, walsendertest.NewServer(t, cluster), version)
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			serveFault(t, cluster, fault, func(t *testing.T, s *walsendertest.Server) {
				test(t, whole, takeBaseBackup(t, s, version))
			})
		})
	}
}

// An archive is cut at its beginning, and within a message.
func TestFault_CutArchive(t *testing.T) {
	for _, n := range []int{0, 100_000} {
		for _, name := range []string{"16500.tar", "base.tar"} {
			eachStream(t, walsendertest.CutArchive(name, int64(n)), func(t *testing.T, whole, got baseBackup) {
				if came := len(got.parts[name]); got.last != "unexpected EOF" || came > n || n-came > 32768 {
					t.Errorf("%d bytes came in whole messages, then %s", came, got.last)
				}
				// base.tar begins with files of the time at which it is made.
				if name == "16500.tar" && !bytes.HasPrefix(whole.parts[name], got.parts[name]) {
					t.Error("what came is not the archive")
				}
				if _, came := got.parts["base.tar"]; name == "16500.tar" && came {
					t.Error("the next archive has come")
				}
			})
		}
	}
}

func TestFault_WrongManifest(t *testing.T) {
	const path = "base/5/20000"
	eachStream(t, walsendertest.WrongManifest(path), func(t *testing.T, whole, got baseBackup) {
		want, err := manifest.Read(bytes.NewReader(whole.parts["backup_manifest"]))
		must(t, err)
		wrong, err := manifest.Read(bytes.NewReader(got.parts["backup_manifest"]))
		must(t, err) // its own checksum is right
		if len(wrong.Files) != len(want.Files) {
			t.Fatalf("%d files instead of %d", len(wrong.Files), len(want.Files))
		}
		for i, f := range want.Files {
			if same := bytes.Equal(f.Checksum, wrong.Files[i].Checksum); f.Path != "backup_label" && same == (f.Path == path) {
				t.Errorf("the checksum of %s is the same: %v", f.Path, same)
			}
		}
		if got.last != "C" || len(got.parts["base.tar"]) != len(whole.parts["base.tar"]) {
			t.Errorf("the end is %q, base.tar has %d bytes", got.last, len(got.parts["base.tar"]))
		}
	})
}

func TestFault_DamagedManifest(t *testing.T) {
	eachStream(t, walsendertest.DamagedManifest(), func(t *testing.T, whole, got baseBackup) {
		_, err := manifest.Read(bytes.NewReader(whole.parts["backup_manifest"]))
		must(t, err)
		if _, err := manifest.Read(bytes.NewReader(got.parts["backup_manifest"])); err == nil || !strings.Contains(err.Error(), "manifest checksum mismatch") {
			t.Errorf("the manifest: %v", err)
		}
	})
}
