package manifest_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/pgparallel/pgparallel/protocol/manifest"
)

// A manifest is written file by file, and believed only if its checksum is right.
func ExampleRead() {
	var file strings.Builder
	w := manifest.NewWriter(&file, manifest.Options{Version: 1})
	sum := manifest.ChecksumCRC32C.New()
	sum.Write([]byte("15\n"))
	err := w.AddFile(manifest.File{Path: "PG_VERSION", Size: 3, ModTime: time.Unix(1700000000, 0), Checksum: sum.Sum(nil)})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := w.Close(manifest.WALRange{Timeline: 1, Start: 0x2000028, End: 0x2000100}); err != nil {
		fmt.Println(err)
		return
	}

	m, err := manifest.Read(strings.NewReader(file.String()))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range m.Files {
		fmt.Printf("%s: %d bytes, %v %x\n", f.Path, f.Size, f.Algorithm, f.Checksum)
	}
	for _, r := range m.WALRanges {
		fmt.Printf("WAL of timeline %d from %v to %v\n", r.Timeline, r.Start, r.End)
	}
	_, err = manifest.Read(strings.NewReader(strings.Replace(file.String(), "PG_VERSION", "PG_VERSIOM", 1)))
	fmt.Println(err)
	// Output:
	// PG_VERSION: 3 bytes, CRC32C 8a744722
	// WAL of timeline 1 from 0/2000028 to 0/2000100
	// manifest checksum mismatch
}
