package page

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"flag"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

var cluster = flag.String("page.cluster", "",
	"verify every page of this stopped cluster (initdb --data-checksums) and make testdata/pages.gz of some")

// goldenPage is a page that PostgreSQL has written. The file has one after the
// other: the block number, 4 bytes little-endian, and the page.
type goldenPage struct {
	block uint32
	page  []byte
}

// The stored checksums of pages that PostgreSQL has written are the truth.
func TestChecksum_PostgreSQLPages(t *testing.T) {
	const golden = "testdata/pages.gz"
	if *cluster != "" {
		writeGoldenPages(t, golden, clusterPages(t, *cluster))
	}
	pages := readGoldenPages(t, golden)
	if len(pages) < 8 {
		t.Fatalf("%s has %d pages", golden, len(pages))
	}
	for _, g := range pages {
		expectStored(t, g)
		expectSame(t, g.page, g.block)
	}
}

func expectStored(t *testing.T, g goldenPage) {
	t.Helper()
	ok, calculated, stored := Verify(g.page, g.block)
	if !ok {
		t.Errorf("block %d: calculated %04X but expected %04X", g.block, calculated, stored)
	}
	if calculated == 0 {
		t.Errorf("block %d is new and proves nothing", g.block)
	}
}

// clusterPages verifies the pages of all relations of a cluster and returns a few,
// of many relations and blocks.
func clusterPages(t *testing.T, dir string) (chosen []goldenPage) {
	relation := regexp.MustCompile(`/(?:base/\d+|global)/\d+(?:_[a-z]+)?(?:\.(\d+))?$`)
	verified := 0
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		match := relation.FindStringSubmatch(path)
		if err != nil || match == nil || !entry.Type().IsRegular() {
			return err
		}
		segment, _ := strconv.Atoi(match[1]) // empty in the first one
		for g := range segmentPages(t, path, segment) {
			expectStored(t, g)
			if verified++; verified%400 == 1 || segment > 0 {
				chosen = append(chosen, g)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d pages verified, %d chosen", verified, len(chosen))
	return chosen
}

// segmentPages yields the pages of a segment file that are not new.
func segmentPages(t *testing.T, path string, segment int) iter.Seq[goldenPage] {
	return func(yield func(goldenPage) bool) {
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		buffered := bufio.NewReaderSize(file, 1<<20)
		for block := uint32(segment * 131072); ; block++ {
			page := make([]byte, Size)
			switch _, err := io.ReadFull(buffered, page); {
			case err == io.EOF:
				return
			case err != nil:
				t.Fatalf("%s: %v", path, err)
			case binary.LittleEndian.Uint16(page[pdUpper:]) != 0 && !yield(goldenPage{block, page}):
				return
			}
		}
	}
}

func writeGoldenPages(t *testing.T, name string, pages []goldenPage) {
	var out bytes.Buffer
	zipped, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range pages {
		if _, err := zipped.Write(append(binary.LittleEndian.AppendUint32(nil, g.block), g.page...)); err != nil {
			t.Fatal(err)
		}
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readGoldenPages(t *testing.T, name string) (pages []goldenPage) {
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	for {
		record := make([]byte, 4+Size)
		switch _, err := io.ReadFull(unzipped, record); err {
		case nil:
			pages = append(pages, goldenPage{binary.LittleEndian.Uint32(record), record[4:]})
		case io.EOF:
			return pages
		default:
			t.Fatalf("%s: %v", name, err)
		}
	}
}
