package protocol_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
)

func ExampleParseLSN() {
	lsn, err := protocol.ParseLSN("16/B374D848")
	if err != nil {
		fmt.Println(err)
		return
	}
	const segmentSize = 16 << 20
	fmt.Println(lsn, lsn+0x100, protocol.WALFileName(1, lsn, segmentSize))

	_, err = protocol.ParseLSN("16:B374D848")
	fmt.Println(err)
	// Output:
	// 16/B374D848 16/B374D948 0000000100000016000000B3
	// ERROR: could not parse write-ahead log location "16:B374D848" (SQLSTATE 22P02)
}

// A manifest is written file by file, and believed only if its checksum is right.
func ExampleReadManifest() {
	var file strings.Builder
	w := protocol.NewManifestWriter(&file, protocol.ManifestOptions{Version: 1})
	sum := protocol.ChecksumCRC32C.New()
	sum.Write([]byte("15\n"))
	err := w.AddFile(protocol.ManifestFile{Path: "PG_VERSION", Size: 3, ModTime: time.Unix(1700000000, 0), Checksum: sum.Sum(nil)})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := w.Close(protocol.WALRange{Timeline: 1, Start: 0x2000028, End: 0x2000100}); err != nil {
		fmt.Println(err)
		return
	}

	manifest, err := protocol.ReadManifest(strings.NewReader(file.String()))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range manifest.Files {
		fmt.Printf("%s: %d bytes, %v %x\n", f.Path, f.Size, f.Algorithm, f.Checksum)
	}
	for _, r := range manifest.WALRanges {
		fmt.Printf("WAL of timeline %d from %v to %v\n", r.Timeline, r.Start, r.End)
	}
	_, err = protocol.ReadManifest(strings.NewReader(strings.Replace(file.String(), "PG_VERSION", "PG_VERSIOM", 1)))
	fmt.Println(err)
	// Output:
	// PG_VERSION: 3 bytes, CRC32C 8a744722
	// WAL of timeline 1 from 0/2000028 to 0/2000100
	// manifest checksum mismatch
}
