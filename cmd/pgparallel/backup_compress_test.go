package main

import (
	"testing"

	"github.com/pgparallel/pgparallel/client"
)

func TestCompression(t *testing.T) {
	const invalid = "invalid compression specification: "
	for _, c := range []struct {
		text string
		want client.Compression
		err  string
	}{
		{text: "none"},
		{text: "0"},
		{text: "5", want: client.Compression{Method: client.CompressionGzip, Level: 5}},
		{text: "gzip", want: client.Compression{Method: client.CompressionGzip}},
		{text: "gzip:9", want: client.Compression{Method: client.CompressionGzip, Level: 9}},
		{text: "client-gzip:5", want: client.Compression{Method: client.CompressionGzip, Level: 5}},
		{text: "client-none"},
		{text: "lz4", want: client.Compression{Method: client.CompressionLZ4}},
		{text: "lz4:12", want: client.Compression{Method: client.CompressionLZ4, Level: 12}},
		{text: "zstd:22", want: client.Compression{Method: client.CompressionZstd, Level: 22}},
		{text: "client-zstd:level=3", want: client.Compression{Method: client.CompressionZstd, Level: 3}},
		{text: "zstd:level=3,level=4", want: client.Compression{Method: client.CompressionZstd, Level: 4}},
		{text: "zstd:level=1,workers=3", want: client.Compression{Method: client.CompressionZstd, Level: 1, Workers: 3}},
		{text: "zstd:long", want: client.Compression{Method: client.CompressionZstd, LongDistance: true}},
		{text: "zstd:long=Yes,level=9", want: client.Compression{Method: client.CompressionZstd, Level: 9, LongDistance: true}},
		{text: "zstd:long=off,workers=0", want: client.Compression{Method: client.CompressionZstd}},
		{text: "gzip:workers=0,long=no", want: client.Compression{Method: client.CompressionGzip}},

		{text: "10", err: invalid + `compression algorithm "gzip" expects a compression level between 1 and 9`},
		{text: "-1", err: invalid + `compression algorithm "gzip" expects a compression level between 1 and 9`},
		{text: "gzip:0", err: invalid + `compression algorithm "gzip" expects a compression level between 1 and 9`},
		{text: "lz4:13", err: invalid + `compression algorithm "lz4" expects a compression level between 1 and 12`},
		{text: "zstd:23", err: invalid + `compression algorithm "zstd" expects a compression level between 1 and 22`},
		{text: "none:1", err: invalid + `compression algorithm "none" does not accept a compression level`},
		{text: "none:0", err: invalid + `compression algorithm "none" does not accept a compression level`},
		{text: "gzip:", err: invalid + "found empty string where a compression option was expected"},
		{text: "gzip:level", err: invalid + `compression option "level" requires a value`},
		{text: "gzip:level=high", err: invalid + `value for compression option "level" must be an integer`},
		{text: "gzip:high", err: invalid + `unrecognized compression option: "high"`},
		{text: "gzip:workers=3", err: invalid + `compression algorithm "gzip" does not accept a worker count`},
		{text: "zstd:workers=many", err: invalid + `value for compression option "workers" must be an integer`},
		{text: "zstd:workers=-1", err: invalid + "the worker count must not be negative"},
		{text: "lz4:long", err: invalid + `compression algorithm "lz4" does not support long-distance mode`},
		{text: "zstd:long=perhaps", err: invalid + `value for compression option "long" must be a Boolean value`},
		{text: "zstd:level=", err: invalid + `value for compression option "level" must be an integer`},
		{text: "zstd:level=0", err: invalid + `compression algorithm "zstd" expects a compression level between 1 and 22`},
		{text: "zstd:level=3,", err: invalid + "found empty string where a compression option was expected"},
		{text: "bzip2", err: `unrecognized compression algorithm: "bzip2"`},
		{text: "", err: `unrecognized compression algorithm: ""`},
		{text: "server-zstd:5", err: `cannot compress on the server: it sends files as they are, and the connections compress them here; use "client-zstd:5"`},
	} {
		var got compression
		checkOption(t, c.text, &got, c.err)
		if c.err == "" && got.Compression != c.want {
			t.Errorf("%q: got %+v, want %+v", c.text, got.Compression, c.want)
		}
	}
}

func TestOutputFormat(t *testing.T) {
	for text, want := range map[string]bool{"p": false, "plain": false, "t": true, "tar": true} {
		var got outputFormat
		checkOption(t, text, &got, "")
		if got.tar != want {
			t.Errorf("%q: got %v", text, got.tar)
		}
	}
	checkOption(t, "zip", &outputFormat{}, `invalid output format "zip", must be "plain" or "tar"`)
}

// -z is gzip's default, -Z has the last word.
func TestBackupCommand_Compression(t *testing.T) {
	level5 := client.Compression{Method: client.CompressionGzip, Level: 5}
	for _, c := range []struct {
		command backupCommand
		want    client.Compression
	}{
		{backupCommand{}, client.Compression{}},
		{backupCommand{Gzip: true}, client.Compression{Method: client.CompressionGzip}},
		{backupCommand{Gzip: true, Compress: compression{Compression: level5, given: true}}, level5},
		{backupCommand{Gzip: true, Compress: compression{given: true}}, client.Compression{}},
	} {
		if got := c.command.compression(); got != c.want {
			t.Errorf("got %+v, want %+v", got, c.want)
		}
	}
}
