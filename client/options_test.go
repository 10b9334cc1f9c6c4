package client

import (
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
		{Options{ConnConfig: server, Dir: "x", Jobs: -1}, "invalid number of parallel jobs: -1"},
		{Options{ConnConfig: server, Dir: "x", Label: "a\x00b"}, "zero byte"},
		{Options{ConnConfig: server, Dir: "x", MaxRate: 31}, "out of range"},
		{Options{ConnConfig: server, Dir: "x", MaxRate: 1<<20 + 1}, "out of range"},
		{Options{ConnConfig: server, Dir: "x", MaxRate: -1}, "out of range"},
		{Options{ConnConfig: server, Dir: "x", TablespaceMap: map[string]string{"a": "/b"}}, "old directory is not an absolute path in tablespace mapping: a"},
		{Options{ConnConfig: server, Dir: "x", TablespaceMap: map[string]string{"/a": "b"}}, "new directory is not an absolute path in tablespace mapping: b"},
		{Options{ConnConfig: server, Dir: "x", TablespaceMap: map[string]string{"/a": "/b", "/a/": "/c"}}, "more than once"},
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
