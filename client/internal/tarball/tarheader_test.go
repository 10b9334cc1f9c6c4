package tarball

import (
	"archive/tar"
	"bytes"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pgparallel/pgparallel/client/internal/outputtest"
	"github.com/pgparallel/pgparallel/protocol/tarheader"
)

// Go's reader finds in every header what was written into it.
func TestTarHeader_Property(t *testing.T) {
	kinds := map[tarheader.Kind]byte{tarRegular: tar.TypeReg, tarSymlink: tar.TypeSymlink, tarDirectory: tar.TypeDir}
	rapid.Check(t, func(t *rapid.T) {
		h := tarHeader{
			name:    rapid.StringMatching(`[a-zA-Z0-9_.][ -~]{0,97}[a-zA-Z0-9_.]`).Draw(t, "name"),
			kind:    rapid.SampledFrom([]tarheader.Kind{tarRegular, tarSymlink, tarDirectory}).Draw(t, "kind"),
			mode:    fs.FileMode(rapid.Uint32Range(0, 0o777).Draw(t, "mode")),
			modTime: rapid.OneOf(rapid.Int64Range(0, 1<<34), rapid.Int64Min(0)).Draw(t, "mtime"),
		}
		switch h.kind {
		case tarRegular:
			h.size = rapid.OneOf(rapid.Int64Range(0, 1<<34), rapid.Int64Min(0)).Draw(t, "size")
		case tarSymlink:
			h.link = rapid.StringMatching(`/[ -~]{0,98}`).Draw(t, "link")
		}
		block, err := h.encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := tar.NewReader(bytes.NewReader(block)).Next()
		if err != nil {
			t.Fatalf("%v in %q", err, block)
		}
		name := h.name
		if h.kind != tarRegular {
			name += "/"
		}
		want := tar.Header{
			Typeflag: kinds[h.kind], Name: name, Linkname: h.link, Size: h.size, Mode: int64(h.mode),
			Uid: os.Geteuid(), Gid: os.Getegid(), Uname: "postgres", Gname: "postgres", ModTime: time.Unix(h.modTime, 0),
			Format: got.Format,
		}
		if diff := cmp.Diff(want, *got); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

// The bytes are those that PostgreSQL writes: digits with a space behind them, and
// base 256 from 8 GiB on.
func TestTarHeader_Fields(t *testing.T) {
	for _, test := range []struct {
		size int64
		want string
	}{
		{0, "00000000000 "},
		{8192, "00000020000 "},
		{8<<30 - 1, "77777777777 "},
		{8 << 30, "\x80\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00"},
	} {
		block, err := tarHeader{name: "base/1/16384", kind: tarRegular, size: test.size, mode: 0o600}.encode()
		outputtest.Must(t, err)
		if got := string(block[124:136]); got != test.want {
			t.Errorf("size %d is %q, want %q", test.size, got, test.want)
		}
		if got, want := string(block[100:108]), "0000600 "; got != want {
			t.Errorf("mode is %q, want %q", got, want)
		}
		if got, want := string(block[257:265]), "ustar\x0000"; got != want {
			t.Errorf("magic is %q, want %q", got, want)
		}
	}
}

func TestTarHeader_TooLong(t *testing.T) {
	name := strings.Repeat("n", 100)
	for _, test := range []struct {
		h    tarHeader
		want string
	}{
		{tarHeader{name: name, kind: tarRegular}, `file name too long for tar format: "` + name + `"`},
		{tarHeader{name: name, kind: tarDirectory}, `file name too long for tar format: "` + name + `"`},
	} {
		if _, err := test.h.encode(); err == nil || err.Error() != test.want {
			t.Errorf("error is %v, want %s", err, test.want)
		}
	}
}

// A link leads as far as it should, however long that is.
func TestTarHeader_LongLink(t *testing.T) {
	for _, length := range []int{1, 98, 99, 100, 101, 510, 511, 512, 513, 4095} {
		want := "/" + strings.Repeat("l", length-1)
		var out bytes.Buffer
		a := newTarStream(&out, Compression{})
		b := &batches{}
		e, err := newTarEntry(a, b, tarHeader{name: "pg_tblspc/16400", kind: tarSymlink, link: want})
		outputtest.Must(t, err)
		outputtest.Must(t, e.Finish(io.Discard))
		attempt(t, a, b, "", "behind", "b")
		outputtest.Must(t, b.flush())
		outputtest.Must(t, a.finish(b))
		r := tar.NewReader(&out)
		h, err := r.Next()
		outputtest.Must(t, err)
		if h.Typeflag != tar.TypeSymlink || h.Name != "pg_tblspc/16400/" || h.Linkname != want {
			t.Errorf("%d bytes: %+v", length, h)
		}
		if h, err = r.Next(); err != nil || h.Name != "behind" {
			t.Errorf("%d bytes: behind it is %v, %v", length, h, err)
		}
	}
}
