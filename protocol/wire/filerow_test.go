package wire_test

import (
	"bytes"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire"
)

// The message is what the row becomes as every other row does, behind what is there already.
func TestAppendFileRow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := protocol.File{
			Path:    string(rapid.SliceOf(rapid.Byte()).Draw(t, "path")),
			Type:    rapid.SampledFrom([]protocol.FileType{protocol.TypeFile, protocol.TypeDirectory, protocol.TypeLink}).Draw(t, "type"),
			Size:    rapid.Int64().Draw(t, "size"),
			ModTime: time.Unix(rapid.Int64Range(-1<<40, 1<<40).Draw(t, "mtime"), 0),
		}
		before := rapid.SliceOfN(rapid.Byte(), 0, 10).Draw(t, "before")
		want, err := wire.DataRow(f.Row()).Encode(bytes.Clone(before))
		if err != nil {
			t.Fatal(err)
		}
		if got := wire.AppendFileRow(bytes.Clone(before), f); !bytes.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		f.Checksum = string(rapid.SliceOfN(rapid.Byte(), 0, 64).Draw(t, "checksum"))
		if want, err = wire.DataRow(f.ChecksumRow()).Encode(bytes.Clone(before)); err != nil {
			t.Fatal(err)
		}
		if got := wire.AppendFileChecksumRow(bytes.Clone(before), f); !bytes.Equal(got, want) {
			t.Errorf("with a checksum: %q, want %q", got, want)
		}
	})
}
