package tarheader_test

import (
	"archive/tar"
	"bytes"
	"io/fs"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pgparallel/pgparallel/protocol/tarheader"
)

// TestAppend has the standard library read what is written.
func TestAppend(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := tarheader.Header{
			Name:    rapid.StringMatching(`[a-z0-9_./]{0,97}[a-z0-9]`).Draw(t, "name"),
			Kind:    rapid.SampledFrom([]tarheader.Kind{tarheader.Regular, tarheader.Symlink, tarheader.Directory}).Draw(t, "kind"),
			Mode:    rapid.Uint32Range(0, 0o777).Draw(t, "mode"),
			UID:     rapid.Uint32().Draw(t, "uid"),
			GID:     rapid.Uint32().Draw(t, "gid"),
			ModTime: time.Unix(rapid.Int64Range(0, 1<<40).Draw(t, "mtime"), 0),
		}
		switch h.Kind {
		case tarheader.Regular:
			h.Size = rapid.Int64Range(0, 1<<50).Draw(t, "size")
		case tarheader.Symlink:
			h.Link = rapid.StringMatching(`/[a-z]{0,98}`).Draw(t, "link")
		}
		block, err := h.Append([]byte("before"))
		if err != nil || len(block) != 6+tarheader.BlockSize {
			t.Fatalf("%d bytes, %v", len(block), err)
		}
		got, err := tar.NewReader(bytes.NewReader(block[6:])).Next()
		if err != nil {
			t.Fatal(err)
		}
		want := h.Name
		if h.Kind != tarheader.Regular {
			want += "/"
		}
		if got.Name != want || got.Typeflag != byte(h.Kind) || got.Size != h.Size || got.FileInfo().Mode().Perm() != fs.FileMode(h.Mode) ||
			got.Uid != int(h.UID) || got.Gid != int(h.GID) || !got.ModTime.Equal(h.ModTime) || got.Linkname != h.Link ||
			got.Uname != "postgres" || got.Gname != "postgres" {
			t.Fatalf("%+v is read as %+v", h, got)
		}
	})
}

func TestAppend_TooLong(t *testing.T) {
	for _, h := range []tarheader.Header{
		{Name: strings.Repeat("n", 100)},
		{Name: "pg_tblspc/1", Kind: tarheader.Symlink, Link: strings.Repeat("l", 100)},
	} {
		if b, err := h.Append([]byte("x")); err == nil || len(b) != 1 {
			t.Errorf("%+v: %d bytes, %v", h, len(b), err)
		}
	}
	if _, err := (tarheader.Header{Name: strings.Repeat("n", 99)}).Append(nil); err != nil {
		t.Error(err)
	}
}

func TestPadding(t *testing.T) {
	for size, want := range map[int64]int64{0: 0, 1: 511, 511: 1, 512: 0, 513: 511, 1<<33 + 1: 511} {
		if got := tarheader.Padding(size); got != want {
			t.Errorf("Padding(%d) = %d, want %d", size, got, want)
		}
	}
}
