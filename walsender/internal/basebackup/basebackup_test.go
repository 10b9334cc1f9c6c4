package basebackup

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/manifest"
	"github.com/pgparallel/pgparallel/protocol/tarheader"
	"github.com/pgparallel/pgparallel/walsender/internal/compression"
)

// said keeps what is sent: the kinds of messages, and what the copies hold.
type said struct {
	frame   int // bytes of a frame before what it holds
	kinds   string
	copies  []bytes.Buffer // a new one at each beginning
	allowed int
}

func (s *said) client() Client {
	return Client{Send: s.send, Out: s, Allow: func(n int) error {
		s.allowed += n
		return nil
	}}
}

func (s *said) send(m pgproto3.BackendMessage) error {
	switch m := m.(type) {
	case *pgproto3.CopyOutResponse:
		s.kinds += "<"
		s.copies = append(s.copies, bytes.Buffer{})
	case *pgproto3.CopyDone:
		s.kinds += ">"
	case *pgproto3.CopyData:
		s.kinds += string(rune(m.Data[0]))
		s.copies = append(s.copies, bytes.Buffer{})
	}
	return nil
}

// Write takes a frame: its header, then what it holds.
func (s *said) Write(p []byte) (int, error) {
	s.kinds += "d"
	s.copies[len(s.copies)-1].Write(p[s.frame:])
	return len(p), nil
}

// TestStream_9_1 sends a backup in the shape of versions before and from 15 on.
func TestStream_9_1(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), FrameSize/8)
	for major, want := range map[int]string{
		14: "<ddd><d>", // header, content in two messages; the manifest
		18: "<nddpmd>", // one COPY: a name, the archive, progress, the manifest
	} {
		t.Run(fmt.Sprint(major), func(t *testing.T) {
			s := &said{frame: 5}
			if major >= firstOneStream {
				s.frame = 6
			}
			w := NewStream(s.client(), major, FrameSize)
			writer, err := compression.Spec{}.NewWriter()
			must(t, err)
			m, err := NewManifest(grammar.BaseBackupOptions{Manifest: grammar.Manifest, ManifestChecksums: "CRC32C"}, major,
				func() (protocol.System, error) { return protocol.System{SystemID: 7}, nil })
			must(t, err)
			defer m.Close()
			must(t, w.Begin())
			a, err := w.BeginArchive(protocol.Tablespace{OID: 16385, Location: "/there"}, "", writer)
			must(t, err)
			if a.Prefix != "pg_tblspc/16385/" {
				t.Errorf("prefix %q", a.Prefix)
			}
			h := tarheader.Header{Name: "PG_VERSION", Kind: tarheader.Regular, Mode: 0o600, Size: int64(len(content))}
			must(t, a.Header(h))
			must(t, a.Write(content))
			must(t, a.Pad(h.Size))
			must(t, a.End())
			sum := m.Checksum()
			sum.Add(content)
			must(t, m.AddFile("pg_tblspc/16385/PG_VERSION", h, sum))
			must(t, m.Send(w, []manifest.WALRange{{Timeline: 1, Start: 1 << 24, End: 2 << 24}}))
			must(t, w.End())
			checkArchive(t, s, content)
			if s.kinds != want {
				t.Errorf("messages %q, want %q", s.kinds, want)
			}
			parsed, err := manifest.Read(&s.copies[len(s.copies)-1])
			if err != nil || len(parsed.Files) != 1 || parsed.Files[0].Size != h.Size {
				t.Errorf("manifest: %+v, %v", parsed, err)
			}
		})
	}
}

// checkArchive unpacks the first copy that is an archive.
func checkArchive(t *testing.T, s *said, content []byte) {
	t.Helper()
	total := 0
	for i := range s.copies {
		total += s.copies[i].Len()
	}
	if total != s.allowed {
		t.Errorf("%d bytes sent, %d were allowed", total, s.allowed)
	}
	for i := range s.copies {
		if s.copies[i].Len() < len(content) {
			continue
		}
		r := tar.NewReader(&s.copies[i])
		h, err := r.Next()
		must(t, err)
		got, err := io.ReadAll(r)
		if h.Name != "PG_VERSION" || !bytes.Equal(got, content) || err != nil {
			t.Errorf("member %q of %d bytes, %v", h.Name, len(got), err)
		}
		return
	}
	t.Error("no archive was sent")
}

// What does not allow any more bytes ends the backup.
func TestStream_Ends(t *testing.T) {
	aborted := errors.New("aborted")
	w := NewStream(Client{Allow: func(int) error { return aborted }, Out: io.Discard}, 18, FrameSize)
	if _, err := w.Write(make([]byte, 2*FrameSize)); err != aborted {
		t.Errorf("%v", err)
	}
}

func TestTablespaceMap(t *testing.T) {
	got := TablespaceMap([]protocol.Tablespace{
		{OID: 16385, Location: "/a\\b\nc"}, {OID: 16386, Location: "pg_tblspc/16386"}, {},
	})
	if want := "16385 /a\\\\b\\\nc\n"; string(got) != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A backup that ends on another timeline than it began on needs WAL of each between, the
// newest first.
func TestSplitRange(t *testing.T) {
	last := manifest.WALRange{Timeline: 4, Start: 0x2000028, End: 0x5000000}
	const history = "1\t0/1000000\tno reason\n2\t0/3000000\tno reason\n3\t0/4000000\tno reason\n"
	got, err := SplitRange(last, 2, history)
	want := []manifest.WALRange{
		{Timeline: 4, Start: 0x4000000, End: 0x5000000},
		{Timeline: 3, Start: 0x3000000, End: 0x4000000},
		{Timeline: 2, Start: 0x2000028, End: 0x3000000},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for from, history := range map[protocol.Timeline]string{9: history, 2: "nonsense\n"} {
		if _, err := SplitRange(last, from, history); !protocol.HasCode(err, protocol.CodeDataCorrupted) {
			t.Errorf("from timeline %d: %v", from, err)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
