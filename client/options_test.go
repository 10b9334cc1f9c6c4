package client

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"
)

func TestOptions(t *testing.T) {
	server := &pgconn.Config{}
	for _, test := range []struct {
		o    Options
		want string
	}{
		{Options{Dir: "x"}, "no server specified"},
		{Options{ConnConfig: server}, "no target directory specified"},
		{Options{ConnConfig: server, Dir: "x", Jobs: -1}, "Jobs must be in range 0..2147483647"},
		{Options{ConnConfig: server, Dir: "x", Label: "a\x00b"}, "zero byte"},
		{Options{ConnConfig: server, Dir: "x", MaxRate: 31}, "out of range"},
		{Options{ConnConfig: server, Dir: "x", MaxRate: 1<<20 + 1}, "out of range"},
		{Options{ConnConfig: server, Dir: "x", MaxRate: -1}, "out of range"},
		{Options{ConnConfig: server, Dir: "x", TablespaceMap: map[string]string{"a": "/b"}}, "old directory is not an absolute path in tablespace mapping: a"},
		{Options{ConnConfig: server, Dir: "x", TablespaceMap: map[string]string{"/a": "b"}}, "new directory is not an absolute path in tablespace mapping: b"},
		{Options{ConnConfig: server, Dir: "x", TablespaceMap: map[string]string{"/a": "/b", "/a/": "/c"}}, `tablespace "/a" is mapped to "/b" and to "/c"`},
		{Options{ConnConfig: server, Dir: "x", MaxRate: 32, Jobs: 1}, ""},
	} {
		_, err := test.o.withDefaults()
		if test.want == "" {
			must(t, err)
		} else if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error is %v, want %s", err, test.want)
		}
	}
}

func TestOptions_Defaults(t *testing.T) {
	o, err := Options{ConnConfig: &pgconn.Config{}, Dir: "/a/./b/", TablespaceMap: map[string]string{"/x/": "/y/."}}.withDefaults()
	must(t, err)
	if o.Jobs != 1 || o.Label != DefaultLabel || o.Dir != "/a/b" {
		t.Errorf("%+v", o)
	}
	if diff := cmp.Diff(map[string]string{"/x": "/y"}, o.TablespaceMap); diff != "" {
		t.Error(diff)
	}
	o.Log(Event{})
	o.Progress(Progress{})
}

// The message names the options as the reader knows them, and a % in a value is no
// directive.
func TestOptionError(t *testing.T) {
	flags := func(field string) string { return "--" + strings.ToLower(field) }
	for _, test := range []struct {
		o      Options
		fields []string
		text   string
	}{
		{Options{Dir: "/x", WAL: WALOptions{CreateSlot: true}}, []string{"WAL.CreateSlot", "WAL.Slot"}, "--wal.createslot needs a slot to be specified using --wal.slot"},
		{Options{Dir: "/x", WAL: WALOptions{CreateSlot: true, NoSlot: true}}, []string{"WAL.CreateSlot", "WAL.NoSlot"}, "--wal.createslot and --wal.noslot are incompatible options"},
		{Options{Dir: "/x", WAL: WALOptions{Slot: "s", NoSlot: true}}, []string{"WAL.NoSlot", "WAL.Slot"}, "--wal.noslot cannot be used with slot name"},
		{Options{Dir: "/x", WAL: WALOptions{Slot: "s", Method: WALFetch}}, []string{"WAL.Slot", "WAL.Method"}, "replication slots can only be used with WAL streaming"},
		{Options{Dir: "/x", MinJobs: 2}, []string{"MinJobs", "Jobs"}, "--minjobs must not be above --jobs"},
		{Options{Dir: "/x", TablespaceMap: map[string]string{"%s": "/b"}}, []string{"TablespaceMap"}, "old directory is not an absolute path in tablespace mapping: %s"},
		{Options{Dir: "/%s", WAL: WALOptions{Dir: "/%s/wal"}}, []string{"WAL.Dir", "Dir"}, `WAL directory "/%s/wal" overlaps with the data directory "/%s"`},
	} {
		test.o.ConnConfig = &pgconn.Config{}
		wrong, ok := errors.AsType[*OptionError](test.o.Check())
		if !ok {
			t.Errorf("error is %v, want %s", test.o.Check(), test.text)
			continue
		}
		if diff := cmp.Diff(test.fields, wrong.Fields); diff != "" || wrong.Text(flags) != test.text {
			t.Errorf("%s: got %q%s", test.text, wrong.Text(flags), diff)
		}
	}
	without := Options{ConnConfig: &pgconn.Config{}, Dir: "/x", WAL: WALOptions{Method: WALFetch, NoSlot: true}}
	must(t, without.Check()) // as pg_basebackup has it: there would be none anyway
}
