package client

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/client/internal/outputtest"
)

func TestWALDir_InUse(t *testing.T) {
	f := newFake(t)
	parent := t.TempDir()
	wal := filepath.Join(parent, "wal")
	must(t, os.MkdirAll(filepath.Join(wal, "precious"), 0o755))
	before := outputtest.Tree(t, parent)
	_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: filepath.Join(parent, "copy"), WAL: WALOptions{Dir: wal}})
	if err == nil || !strings.HasSuffix(err.Error(), `wal" exists but is not empty`) {
		t.Errorf("error is %v", err)
	}
	outputtest.SameTree(t, before, parent)
	if f.dialed() != 0 {
		t.Error("the server was asked all the same")
	}
}

func TestFormat_Options(t *testing.T) {
	server := &pgconn.Config{}
	gzip := Compression{Method: CompressionGzip}
	for _, test := range []struct {
		o    Options
		want string
	}{
		{Options{Dir: "/x", Archive: &ArchiveOptions{Compression: Compression{Method: CompressionGzip, Level: 10}}}, "expects a compression level between 1 and 9"},
		{Options{Dir: "/x", Archive: &ArchiveOptions{Compression: Compression{Method: 9}}}, "there is no method 9"},
		{Options{Archive: &ArchiveOptions{Output: os.Stdout}, WAL: WALOptions{Method: WALStream}}, "cannot stream write-ahead logs in tar mode to stdout"},
		{Options{Dir: "/x", Archive: &ArchiveOptions{}, WAL: WALOptions{Dir: "/wal"}}, "WAL directory location can only be specified in plain mode"},
		{Options{Dir: "/x", WAL: WALOptions{Dir: "wal"}}, "WAL directory location must be an absolute path"},
		{Options{Dir: "/x", WAL: WALOptions{Dir: "/x/wal"}}, `WAL directory "/x/wal" overlaps with the data directory "/x"`},
		{Options{Dir: "/x/data", WAL: WALOptions{Dir: "/x/"}}, `WAL directory "/x" overlaps with the data directory "/x/data"`},
		{Options{Dir: "/x", Manifest: ManifestOptions{Omit: true, ForceEncode: true}}, "Manifest.Omit and Manifest.ForceEncode are incompatible options"},
		{Options{Dir: "/x", Archive: &ArchiveOptions{Compression: gzip}}, ""},
		{Options{Archive: &ArchiveOptions{Output: os.Stdout}}, ""},
	} {
		test.o.ConnConfig = server
		_, err := test.o.withDefaults()
		if test.want == "" {
			must(t, err)
		} else if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error is %v, want %s", err, test.want)
		}
	}
}
