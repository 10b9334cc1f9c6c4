package protocol_test

import (
	"fmt"

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
