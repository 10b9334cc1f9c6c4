package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/protocol/manifest"
)

// Each option arrives where it belongs.
func TestBackupOptions(t *testing.T) {
	clearEnvironment(t)
	for _, c := range []struct {
		args []string
		want client.Options
	}{
		{[]string{"-D", "new"}, client.Options{Dir: "new", Jobs: 1, TablespaceMap: map[string]string{}}},
		{[]string{"-Dnew", "-j8", "-r1M", "-T/a=/b", "-T", "/c,d=/e", "-Xn", "-cfast", "-lnightly", "-nN"}, client.Options{
			Dir: "new", Jobs: 8, MaxRate: 1024, TablespaceMap: map[string]string{"/a": "/b", "/c,d": "/e"},
			WAL: client.WALNone, FastCheckpoint: true, Label: "nightly", NoClean: true, NoSync: true,
		}},
		{[]string{"--pgdata=new", "--jobs=2", "--max-rate=32k", "--tablespace-mapping=/a=/b", "--wal-method=fetch",
			"--checkpoint=spread", "--label=it's, or is it", "--no-clean"}, client.Options{
			Dir: "new", WAL: client.WALFetch, Jobs: 2, MaxRate: 32, TablespaceMap: map[string]string{"/a": "/b"}, Label: "it's, or is it", NoClean: true,
		}},
		{[]string{"-D", "new", "--no-sync", "--no-manifest", "--no-verify-checksums", "--manifest-checksums=SHA512"}, client.Options{
			Dir: "new", Jobs: 1, TablespaceMap: map[string]string{}, NoSync: true, NoManifest: true, NoVerifyChecksums: true,
			ManifestChecksums: manifest.ChecksumSHA512,
		}},
		{[]string{"-D", "new", "-X", "stream", "-C", "-S", "mine", "-s", "0", "--timeout=90", "-j3", "--min-jobs=2", "--force"}, client.Options{
			Dir: "new", Jobs: 3, MinJobs: 2, TablespaceMap: map[string]string{}, WAL: client.WALStream, Slot: "mine", CreateSlot: true,
			StatusInterval: -1, Timeout: 90 * time.Second, Force: true,
		}},
		{[]string{"-D", "new", "--no-slot", "--status-interval=3"}, client.Options{
			Dir: "new", Jobs: 1, TablespaceMap: map[string]string{}, NoSlot: true, StatusInterval: 3 * time.Second,
		}},
	} {
		var line commandLine
		parser, err := newParser(&line)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse(append([]string{"backup"}, c.args...)); err != nil {
			t.Errorf("%q: %v", c.args, err)
			continue
		}
		got, err := line.Backup.options(&console{stderr: new(bytes.Buffer)})
		if err != nil {
			t.Errorf("%q: %v", c.args, err)
			continue
		}
		if c.want.StatusInterval == 0 {
			c.want.StatusInterval = 10 * time.Second
		}
		ignored := cmpopts.IgnoreFields(client.Options{}, "ConnInfo", "Log")
		if diff := cmp.Diff(c.want, got, ignored, cmpopts.IgnoreUnexported(client.Options{})); diff != "" {
			t.Errorf("%q: %s", c.args, diff)
		}
	}
}
