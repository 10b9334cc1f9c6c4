package client

import (
	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/protocol"
)

// largeForeign is from which size on a file that is not PostgreSQL's is told of.
const largeForeign = 1 << 30

// warnOfForeign tells of what is to be copied, and hardly wanted: large files in the data
// directory that are not PostgreSQL's, as a memory dump.
func (b *backup) warnOfForeign() {
	var largest *output.File
	found, size := 0, int64(0)
	for i := range int32(b.listing.Files.Len()) {
		f := b.listing.Files.At(i)
		if f.Size < largeForeign || protocol.KindOfPath(f.Path) != protocol.PathForeign {
			continue
		}
		found++
		size += f.Size
		if largest == nil || f.Size > largest.Size {
			largest = f
		}
	}
	if found > 0 {
		b.events.tell(LevelWarning, "large files that are not PostgreSQL's are in the data directory, and so in the backup: %d with %d kB (file %q has %d kB)",
			found, size/1024, largest.Path, largest.Size/1024)
	}
}
