package datadir

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
	"github.com/pgparallel/pgparallel/protocol/page"
)

// relationPage is a page with a right checksum. The offsets are those of bufpage.h: pd_lsn
// at 0, pd_checksum at 8, pd_upper at 14.
func relationPage(block uint32, lsn uint64) []byte {
	content := bytes.Repeat([]byte{byte(block + 1)}, page.Size)
	binary.LittleEndian.PutUint32(content[0:], uint32(lsn>>32))
	binary.LittleEndian.PutUint32(content[4:], uint32(lsn))
	binary.LittleEndian.PutUint16(content[14:], 100)
	binary.LittleEndian.PutUint16(content[8:], page.Checksum(content, block))
	return content
}

// pages are blocks [first, first+n) of a relation.
func pages(first uint32, n int, lsn uint64) []byte {
	var all []byte
	for i := range n {
		all = append(all, relationPage(first+uint32(i), lsn)...)
	}
	return all
}

// readVerified opens a relation's file, reads all of it with buffers of a size,
// and returns content, warnings and the number of failures.
func readVerified(t *testing.T, d *Dir, name string, start protocol.LSN, buffer int) ([]byte, []string, int) {
	t.Helper()
	var warnings []string
	notice := func(e *protocol.Error) {
		if e.Severity != protocol.SeverityWarning || e.Code != protocol.CodeWarning {
			t.Errorf("notice %+v", e)
		}
		warnings = append(warnings, e.Message)
	}
	f, err := d.Open(t.Context(), name, protocol.OpenOptions{StartPtr: start, VerifyChecksums: true, Notice: notice})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var content []byte
	p := make([]byte, buffer)
	for {
		n, err := f.Read(p)
		content = append(content, p[:n]...)
		if err == io.EOF {
			return content, warnings, f.(interface{ ChecksumFailures() int }).ChecksumFailures()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestVerify_4_6(t *testing.T) {
	const start = 3 << 20
	damage := func(data []byte, blocks ...int) []byte {
		for _, b := range blocks {
			data[b*page.Size+5000] ^= 1
		}
		return data
	}
	message := func(file string, inFile int, block uint32, data []byte) string {
		content := data[inFile*page.Size : (inFile+1)*page.Size]
		return fmt.Sprintf(`checksum verification failed in file "%s", block %d: calculated %X but expected %X`,
			file, block, page.Checksum(content, block), binary.LittleEndian.Uint16(content[8:]))
	}
	many := damage(pages(0, 10, 1), 0, 1, 2, 3, 5, 7, 9)
	two := damage(pages(0, 4, 1), 1, 3)
	second := damage(pages(131072, 2, 1), 1)
	future := damage(pages(0, 2, 4<<20+1), 1) // block 0 is whole, and needs no excuse
	sector := pages(0, 3, start)
	clear(sector[2*page.Size : 2*page.Size+512])
	tail := append(damage(pages(0, 2, 1), 0), 1, 2, 3)
	for _, test := range []struct {
		name     string
		file     string
		content  []byte
		warnings []string
		failures int
	}{
		{"healthy", "base/5/16384", pages(0, 20, 1), nil, 0},
		{"empty", "base/5/16384", nil, nil, 0},
		{"new pages", "base/5/16384", make([]byte, 3*page.Size), nil, 0},
		{"later than the start", "base/5/16384", damage(pages(0, 2, start), 0), nil, 0},
		{"later than the WAL", "base/5/16384", future, []string{message("./base/5/16384", 1, 1, future)}, 1},
		{"zeros at the beginning", "base/5/16384", sector, []string{message("./base/5/16384", 2, 2, sector)}, 1},
		{"two", "base/5/16384_vm", two, []string{
			message("./base/5/16384_vm", 1, 1, two),
			message("./base/5/16384_vm", 3, 3, two),
			`file "./base/5/16384_vm" has a total of 2 checksum verification failures`,
		}, 2},
		{"many", "global/1262", many, []string{
			message("./global/1262", 0, 0, many),
			message("./global/1262", 1, 1, many),
			message("./global/1262", 2, 2, many),
			message("./global/1262", 3, 3, many),
			message("./global/1262", 5, 5, many),
			`further checksum verification failures in file "./global/1262" will not be reported`,
			`file "./global/1262" has a total of 7 checksum verification failures`,
		}, 7},
		{"block of the relation", "base/5/16384.1", second, []string{message("./base/5/16384.1", 1, 131073, second)}, 1},
		{"part of a page", "base/5/16384", tail, []string{
			message("./base/5/16384", 0, 0, tail),
			`could not verify checksum in file "./base/5/16384", block 2: read buffer size 3 and page size 8192 differ`,
		}, 1},
	} {
		for _, buffer := range []int{page.Size, 3 * page.Size, 128 << 10, 2*page.Size + 100} {
			t.Run(fmt.Sprintf("%s/%d", test.name, buffer), func(t *testing.T) {
				f := newFixture(t, validControl())
				f.write(test.file, test.content)
				f.wal(validControl(), 1, 3, 3, 0, nil)
				d := f.open()
				d.RecoveryOnRestore = true
				content, warnings, failures := readVerified(t, d, test.file, start, buffer)
				if !bytes.Equal(content, test.content) {
					t.Errorf("%d bytes were read, or others than the %d of the file", len(content), len(test.content))
				}
				if diff := cmp.Diff(test.warnings, warnings); diff != "" {
					t.Errorf("warnings (-want +got):\n%s", diff)
				}
				if failures != test.failures {
					t.Errorf("%d failures, want %d", failures, test.failures)
				}
			})
		}
	}
}

// Without recovery nothing replaces a page: its LSN is no excuse, whatever it is.
func TestVerify_4_6_WithoutRecovery(t *testing.T) {
	for _, lsn := range []uint64{1, 3 << 20, math.MaxUint64} {
		f := newFixture(t, validControl())
		f.wal(validControl(), 1, 3, 3, 0, nil)
		data := pages(0, 2, lsn)
		data[4000] ^= 1
		f.write("base/5/16384", data)
		if _, warnings, failures := readVerified(t, f.open(), "base/5/16384", 1000, page.Size); failures != 1 {
			t.Errorf("LSN %X: %d failures: %q", lsn, failures, warnings)
		}
	}
}

// The recovery of a crashed cluster may mend what the crash has torn, and the message
// says so.
func TestVerify_4_6_Crashed(t *testing.T) {
	c := validControl()
	c.State = controlfile.StateInProduction
	f := newFixture(t, c)
	f.wal(c, 1, 3, 3, 0, nil)
	data := append(pages(0, 1, 1), pages(1, 1, 3<<20)...)
	data[4000] ^= 1
	data[page.Size+4000] ^= 1 // since the checkpoint: excused
	f.write("base/5/16384", data)
	_, warnings, failures := readVerified(t, f.open(), "base/5/16384", 3<<20, page.Size)
	const mended = "; crash recovery mends the page if it was torn and the WAL has an image of it"
	if failures != 1 || len(warnings) != 1 || !strings.HasSuffix(warnings[0], mended) {
		t.Errorf("%d failures: %q", failures, warnings)
	}
}

// Where checksums are switched off while a file is sent, its pages are not damaged.
func TestVerify_4_6_SwitchedOff(t *testing.T) {
	f := newFixture(t, validControl())
	data := pages(0, 2, 1)
	data[4000] ^= 1
	data[page.Size+4000] ^= 1
	f.write("base/5/16384", data)
	d := f.open()
	file, err := d.Open(t.Context(), "base/5/16384", protocol.OpenOptions{VerifyChecksums: true, Notice: func(e *protocol.Error) { t.Error(e) }})
	f.must(err)
	defer file.Close()
	c := validControl()
	c.DataChecksumVersion = 0
	f.control(c)
	if _, err := io.ReadAll(bufio.NewReaderSize(file, page.Size)); err != nil {
		t.Error(err)
	}
}

// How far the WAL has come is what its pages say, not the names of segments.
func TestWALReached_4_6(t *testing.T) {
	c := validControl()
	f := newFixture(t, c)
	f.wal(c, 1, 5, 6, 0, nil)
	// Half of segment 7 is written; the rest of it, and 8, is what the files were before.
	f.wal(c, 1, 7, 7, 0, nil)
	seventh, err := os.OpenFile(f.at("pg_wal/000000010000000000000007"), os.O_RDWR, 0)
	f.must(err)
	_, err = seventh.WriteAt(make([]byte, 512<<10), 512<<10)
	f.must(err)
	f.must(seventh.Close())
	recycled, err := os.ReadFile(f.at("pg_wal/000000010000000000000005"))
	f.must(err)
	f.write("pg_wal/000000010000000000000008", recycled)
	f.write("pg_wal/000000010000000000000009", make([]byte, 1<<20))
	d := f.open()
	for lsn, want := range map[protocol.LSN]bool{
		0: true, 1: true, // WAL that is gone has been there
		4 << 20: true, 5<<20 + 100: true, 7 << 20: true, 7<<20 + 1: true,
		7<<20 + 512<<10: true, 7<<20 + 512<<10 + 1: false,
		8 << 20: false, 8<<20 + 1: false, 9<<20 + 1: false, 10<<20 + 1: false,
		1<<40 + 6<<20: false, math.MaxUint64: false,
	} {
		if got, err := d.walReached(c, lsn); got != want || err != nil {
			t.Errorf("%v: reached %v, %v", lsn, got, err)
		}
	}
}

func TestVerify_4_6_Tablespace(t *testing.T) {
	f, location := newFixture(t, validControl()), t.TempDir()
	f.must(os.Symlink(location, f.at("pg_tblspc/16400")))
	data := pages(0, 1, 1)
	data[4000] ^= 1
	f.must(os.MkdirAll(location+"/PG_15_202209061/5", 0o700))
	f.must(os.WriteFile(location+"/PG_15_202209061/5/16384", data, 0o600))
	_, warnings, _ := readVerified(t, f.open(), "pg_tblspc/16400/PG_15_202209061/5/16384", 1000, page.Size)
	want := fmt.Sprintf(`checksum verification failed in file "%s/PG_15_202209061/5/16384", block 0: calculated %X but expected %X`,
		location, page.Checksum(data, 0), binary.LittleEndian.Uint16(data[8:]))
	if diff := cmp.Diff([]string{want}, warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestVerify_4_6_WhichFiles(t *testing.T) {
	verified := func(name string, c controlfile.Control, asked bool) bool {
		f := newFixture(t, c)
		f.write(name, nil)
		file, err := f.open().Open(t.Context(), name, protocol.OpenOptions{VerifyChecksums: asked})
		f.must(err)
		defer file.Close()
		_, is := file.(*verifiedFile)
		return is
	}
	for name, want := range map[string]bool{
		"base/5/16384": true, "base/5/16384_fsm.3": true, "global/1262": true,
		"base/5/pg_filenode.map": false, "base/5/PG_VERSION": false, "base/16384": false, "16384": false, "pg_xact/0000": false,
		"base/5/sub/16384": false, "base/x/16384": false, "global/t3_16384": false,
	} {
		if got := verified(name, validControl(), true); got != want {
			t.Errorf("%s is verified: %v", name, got)
		}
	}
	if verified("base/5/16384", validControl(), false) {
		t.Error("verified though nobody asked")
	}
	c := validControl()
	c.DataChecksumVersion = 0
	if verified("base/5/16384", c, true) {
		t.Error("verified in a cluster without checksums")
	}
	c.DataChecksumVersion = 2
	if verified("base/5/16384", c, true) {
		t.Error("verified in a state of checksums that is not known")
	}
}

// A page that differs from what is on disk a moment later: half written, in
// flight, or truncated.
func TestVerify_Again(t *testing.T) {
	healthy, damaged, worse := relationPage(0, 1), relationPage(0, 1), relationPage(0, 1)
	damaged[100] ^= 1
	worse[200] ^= 1
	for _, test := range []struct {
		name     string
		read     []byte
		disk     []byte
		live     bool
		failures int
		whole    bool
		fails    bool
	}{
		{"half written", damaged, healthy, true, 0, true, false},
		{"half written, no server", damaged, healthy, false, 0, true, false},
		{"still in flight", damaged, worse, true, 0, true, false},
		{"changing, no server", damaged, worse, false, 1, true, false},
		{"damaged", damaged, damaged, true, 1, true, false},
		{"truncated", damaged, nil, true, 0, false, false},
		{"a part", damaged, healthy[:100], true, 0, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, validControl())
			f.write("base/5/1", test.disk)
			d := f.open()
			fd, st, err := d.root.Open("base/5/1")
			f.must(err)
			plain := newFile(fd, "base/5/1", st)
			plain.end = page.Size
			defer plain.Close()
			d.RecoveryOnRestore = test.live
			v := newVerifiedFile(d, validControl(), *plain, protocol.Tablespace{}, protocol.Relation{}, protocol.OpenOptions{StartPtr: 1000, Notice: func(*protocol.Error) {}})
			page := bytes.Clone(test.read)
			whole, err := v.verifyAgain(page, 0, 0)
			if whole != test.whole || (err != nil) != test.fails || v.failures != test.failures {
				t.Fatalf("whole %v, error %v, %d failures", whole, err, v.failures)
			}
			if whole && !bytes.Equal(page, test.disk) {
				t.Error("what is sent is not what was read last")
			}
		})
	}
}

func TestRead_ShortBuffer(t *testing.T) {
	f := newFixture(t, validControl())
	f.write("base/5/1", pages(0, 1, 1))
	file, err := f.open().Open(t.Context(), "base/5/1", protocol.OpenOptions{VerifyChecksums: true})
	f.must(err)
	defer file.Close()
	if _, err := file.Read(make([]byte, page.Size-1)); err != io.ErrShortBuffer {
		t.Errorf("error %v, want io.ErrShortBuffer", err)
	}
}

// A file that grows is read to where it ended; one that shrinks ends early.
func TestRead_4_6_SizeAtOpening(t *testing.T) {
	for _, name := range []string{"base/5/16384", "postgresql.conf"} {
		for _, change := range []int64{5 * page.Size, page.Size, 0} {
			f := newFixture(t, validControl())
			f.write(name, pages(0, 3, 1))
			file, err := f.open().Open(t.Context(), name, protocol.OpenOptions{VerifyChecksums: true, Notice: func(e *protocol.Error) { t.Error(e) }})
			f.must(err)
			f.must(os.Truncate(f.at(name), change))
			var content []byte
			p := make([]byte, 2*page.Size)
			for err = nil; err == nil; {
				var n int
				n, err = file.Read(p)
				content = append(content, p[:n]...)
			}
			if want := min(change, 3*page.Size); err != io.EOF || int64(len(content)) != want {
				t.Errorf("%s truncated to %d: read %d bytes, %v", name, change, len(content), err)
			}
			f.must(file.Close())
		}
	}
}

// What holds a page that needed a second look is not to be sent from where it lies.
func TestInPlace_4_6(t *testing.T) {
	content := pages(0, 32, 1)
	content[20*page.Size+5000] ^= 1
	f := newFixture(t, validControl())
	f.write("base/5/16384", content)
	f.wal(validControl(), 1, 3, 3, 0, nil)
	d := f.open()
	opened, err := d.Open(t.Context(), "base/5/16384", protocol.OpenOptions{
		StartPtr: 3 << 20, VerifyChecksums: true, Notice: func(*protocol.Error) {},
	})
	f.must(err)
	defer opened.Close()
	file := opened.(*verifiedFile)
	buffer := make([]byte, 16*page.Size)
	for _, want := range []bool{true, false} {
		_, err := io.ReadFull(file, buffer)
		f.must(err)
		_, offset, ok := file.InPlace(len(buffer))
		if ok != want || offset != file.offset-int64(len(buffer)) {
			t.Errorf("at %d: %v", offset, ok)
		}
	}
	if fd, offset, ok := file.InPlace(11 * page.Size); !ok || offset != 21*page.Size || fd < 0 {
		t.Errorf("behind the page: descriptor %d, %d, %v", fd, offset, ok)
	}
}
