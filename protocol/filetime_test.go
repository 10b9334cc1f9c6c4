package protocol_test

import (
	"bytes"
	"strconv"
	"testing"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/manifest"
)

// A file has one time in its row, after it was read, and in the manifest, whatever stat
// says.
func TestFileTime(t *testing.T) {
	for stat, want := range map[int64]string{
		-1 << 40:            "1970-01-01 00:00:00",
		-1:                  "1970-01-01 00:00:00",
		0:                   "1970-01-01 00:00:00",
		1 << 31:             "2038-01-19 03:14:08",
		1 << 33:             "2242-03-16 12:56:32",
		253402300799:        "9999-12-31 23:59:59",
		253402300800:        "9999-12-31 23:59:59",
		1 << 60:             "9999-12-31 23:59:59",
		9223372036854775807: "9999-12-31 23:59:59",
	} {
		sent := protocol.File{Path: "f", Type: protocol.TypeFile, ModTime: time.Unix(stat, 0)}.Row()
		others := protocol.Row{[]byte("f"), []byte("f"), []byte("0"), strconv.AppendInt(nil, stat, 10)} // a server that does not care
		for _, row := range []protocol.Row{sent, others} {
			f, err := protocol.DecodeFile(row)
			if err != nil {
				t.Fatal(err)
			}
			if got := f.ModTime.UTC().Format(time.DateTime); got != want {
				t.Errorf("%d is %s in a row, want %s", stat, got, want)
			}
		}
		var out bytes.Buffer
		m := manifest.NewWriter(&out, manifest.Options{Version: 1})
		if err := m.AddFile(manifest.File{Path: "f", ModTime: time.Unix(stat, 0), Algorithm: manifest.ChecksumNone}); err != nil {
			t.Fatal(err)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		read, err := manifest.Read(&out)
		if err != nil {
			t.Fatal(err)
		}
		if got := read.Files[0].ModTime.UTC().Format(time.DateTime); got != want {
			t.Errorf("%d is %s in the manifest, want %s", stat, got, want)
		}
	}
}
