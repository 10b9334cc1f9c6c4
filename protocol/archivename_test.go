package protocol

import "testing"

func TestParseArchiveName(t *testing.T) {
	for name, want := range map[string]ArchiveName{
		"base.tar": {}, "base.tar.gz": {Compression: "gzip"}, "base.tgz": {Compression: "gzip"}, "base.tar.lz4": {Compression: "lz4"},
		"pg_wal.tar": {WAL: true}, "pg_wal.tar.zst": {WAL: true, Compression: "zstd"},
		"16385.tar": {Tablespace: 16385}, "4294967295.tar.gz": {Tablespace: 4294967295, Compression: "gzip"},
	} {
		if got, ok := ParseArchiveName(name); !ok || got != want {
			t.Errorf("%s: %+v, %v", name, got, ok)
		}
	}
	for _, name := range []string{"", "base", "base.tar.bz2", "base.tar.incomplete", "0.tar", "4294967296.tar", "-1.tar", "x16385.tar", "base.tar/"} {
		if got, ok := ParseArchiveName(name); ok {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
