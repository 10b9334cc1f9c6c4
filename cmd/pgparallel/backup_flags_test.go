package main

import (
	"reflect"
	"slices"
	"strings"
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
			WAL: client.WALOptions{Method: client.WALNone}, FastCheckpoint: true, Label: "nightly", NoClean: true, NoSync: true,
		}},
		{[]string{"--pgdata=new", "--jobs=2", "--max-rate=32k", "--tablespace-mapping=/a=/b", "--wal-method=fetch",
			"--checkpoint=spread", "--label=it's, or is it", "--no-clean"}, client.Options{
			Dir: "new", WAL: client.WALOptions{Method: client.WALFetch}, Jobs: 2, MaxRate: 32, TablespaceMap: map[string]string{"/a": "/b"}, Label: "it's, or is it", NoClean: true,
		}},
		{[]string{"-D", "new", "--no-sync", "--no-manifest", "--no-verify-checksums"}, client.Options{
			Dir: "new", Jobs: 1, TablespaceMap: map[string]string{}, NoSync: true, NoVerifyChecksums: true,
			Manifest: client.ManifestOptions{Omit: true},
		}},
		{[]string{"-D", "new", "--manifest-checksums=SHA512", "--manifest-force-encode"}, client.Options{
			Dir: "new", Jobs: 1, TablespaceMap: map[string]string{},
			Manifest: client.ManifestOptions{ForceEncode: true, Checksums: manifest.ChecksumSHA512},
		}},
		{[]string{"-D", "new", "-X", "stream", "-C", "-S", "mine", "-s", "0", "--timeout=90", "-j3", "--min-jobs=2", "--force"}, client.Options{
			Dir: "new", Jobs: 3, MinJobs: 2, TablespaceMap: map[string]string{}, WAL: client.WALOptions{Method: client.WALStream, Slot: "mine", CreateSlot: true, StatusInterval: -1},
			Timeout: 90 * time.Second, Force: true,
		}},
		{[]string{"-D", "new", "--no-descriptors"}, client.Options{Dir: "new", Jobs: 1, TablespaceMap: map[string]string{}, NoDescriptors: true}},
		{[]string{"-D", "new", "--no-slot", "--status-interval=3"}, client.Options{
			Dir: "new", Jobs: 1, TablespaceMap: map[string]string{}, WAL: client.WALOptions{NoSlot: true, StatusInterval: 3 * time.Second},
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
		got, err := line.Backup.options(func(client.Event) {})
		if err != nil {
			t.Errorf("%q: %v", c.args, err)
			continue
		}
		if c.want.WAL.StatusInterval == 0 {
			c.want.WAL.StatusInterval = 10 * time.Second
		}
		ignored := cmpopts.IgnoreFields(client.Options{}, "ConnInfo", "Log")
		if diff := cmp.Diff(c.want, got, ignored, cmpopts.IgnoreUnexported(client.Options{})); diff != "" {
			t.Errorf("%q: %s", c.args, diff)
		}
	}
}

// Every field of the options has a name that the user knows.
func TestFlagNames(t *testing.T) {
	var line commandLine
	parser, err := newParser(&line)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, node := range parser.Model.Children {
		if node.Name == "backup" {
			for _, flag := range node.Flags {
				known["--"+flag.Name] = true
			}
		}
	}
	notFlags := []string{"ConnConfig", "Progress", "Log"}
	var check func(prefix string, of reflect.Type)
	check = func(prefix string, of reflect.Type) {
		for field := range of.Fields() {
			name := prefix + field.Name
			if !field.IsExported() || slices.Contains(notFlags, name) {
				continue
			}
			if group := field.Type; strings.HasSuffix(group.String(), "Options") {
				if group.Kind() == reflect.Pointer {
					group = group.Elem()
				}
				check(name+".", group)
				continue
			}
			if flag, _, _ := strings.Cut(flagNames[name], "="); !known[flag] {
				t.Errorf("%s has the flag %q", name, flagNames[name])
			}
		}
	}
	check("", reflect.TypeFor[client.Options]())
}
