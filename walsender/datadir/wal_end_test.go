package datadir

import (
	"os"
	"testing"

	"github.com/pgparallel/pgparallel/protocol"
)

func TestRecordEnd_4_1(t *testing.T) {
	const (
		mb      = 1 << 20
		page    = 8192
		segment = 5 * mb
	)
	for _, test := range []struct {
		name       string
		lsn, want  protocol.LSN
		segments   int
		recordSize int
	}{
		{"within a page", segment + 96, segment + 96 + 120, 1, 114},
		{"first of the segment", segment + 40, segment + 40 + 120, 1, 114},
		{"whole multiple of the alignment", segment + 96, segment + 96 + 112, 1, 112},
		{"ends with the page", segment + page - 120, segment + page, 1, 114},
		{"header in one page, data in the next", segment + page - 24, segment + page + 24 + 96, 1, 114},
		{"header over two pages", segment + page - 8, segment + page + 24 + 112, 1, 114},
		{"crosses, ends in padding", segment + page - 112, segment + page + 24 + 8, 1, 114},
		{"crosses into the next segment", segment + mb - 64, segment + mb + 40 + 56, 2, 114},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := validControl()
			f := newFixture(t, c)
			f.wal(c, 1, 5, 4+test.segments, test.lsn, checkpointRecord(test.recordSize))
			got, err := f.open().recordEnd(c, test.lsn)
			if err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("end of the record at %v is %v, want %v", test.lsn, got, test.want)
			}
		})
	}
}

func TestRecordEnd_Errors(t *testing.T) {
	c := validControl()
	f := newFixture(t, c)
	const lsn = 5<<20 + 1<<20 - 64
	record := checkpointRecord(114)
	f.wal(c, 1, 5, 6, lsn, record)
	d := f.open()
	for _, test := range []struct {
		name string
		lsn  protocol.LSN
		want string
	}{
		{"no position", 0, protocol.CodeDataCorrupted},
		{"not aligned", lsn + 4, protocol.CodeDataCorrupted},
		{"zeros", lsn - 800, protocol.CodeDataCorrupted},
		{"segment missing", 9 << 20, protocol.CodeUndefinedFile},
	} {
		if _, err := d.recordEnd(c, test.lsn); code(err) != test.want {
			t.Errorf("%s: error %v, want %s", test.name, err, test.want)
		}
	}
	f.must(os.Remove(f.at("pg_wal/000000010000000000000006")))
	if _, err := d.recordEnd(c, lsn); code(err) != protocol.CodeUndefinedFile {
		t.Errorf("the second segment missing: error %v, want 58P01", err)
	}
	record[100] ^= 1
	f.wal(c, 1, 5, 6, lsn, record)
	if _, err := d.recordEnd(c, lsn); code(err) != protocol.CodeDataCorrupted {
		t.Errorf("one bit flipped: error %v, want XX001", err)
	}
	// A standby that followed its primary has the record on the next timeline.
	f.must(os.RemoveAll(f.at("pg_wal")))
	f.wal(c, 2, 5, 6, lsn, checkpointRecord(114))
	c.MinRecoveryTimeline = 2
	if end, err := d.recordEnd(c, lsn); err != nil || end != 6<<20+40+56 {
		t.Errorf("on the next timeline: %v, %v", end, err)
	}
}

// The WAL of a version that is only tried has a magic number which nobody knows yet.
func TestRecordEnd_NewestMajor(t *testing.T) {
	c := validControl()
	c.Version = 1905
	f := newFixture(t, c)
	const lsn, segment = 5<<20 + 96, "pg_wal/000000010000000000000005"
	f.wal(c, 1, 5, 5, lsn, checkpointRecord(114))
	content, err := os.ReadFile(f.at(segment))
	must(t, err)
	for page := 0; page < len(content); page += int(c.WALBlockSize) {
		content[page] ^= 0x40
	}
	f.write(segment, content)
	for major, want := range map[string]string{"20\n": "", "19\n": protocol.CodeDataCorrupted} {
		f.write("PG_VERSION", []byte(major))
		d, err := OpenDir(f.path, DirOptions{NewestMajor: 20})
		must(t, err)
		if _, err := d.recordEnd(c, lsn); code(err) != want {
			t.Errorf("major %s: %v", major, err)
		}
		must(t, d.Close())
	}
}
