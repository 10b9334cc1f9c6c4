package refresh

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/pgparallel/pgparallel/protocol/manifest"
)

// The sum of the blocks is that of the file, in whatever pieces they come, and whichever comes
// once more.
func TestBlockSums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		content := bytes.Repeat([]byte(rapid.StringN(1, 50, -1).Draw(t, "content")), rapid.IntRange(1, 2000).Draw(t, "times"))
		var s blockSums
		for at := 0; at < len(content); {
			n := min(rapid.IntRange(1, 3*BlockSize).Draw(t, "piece"), len(content)-at)
			s.add(content[at:at+n], int64(at))
			at += n
		}
		from := rapid.IntRange(0, (len(content)-1)/BlockSize).Draw(t, "again") * BlockSize
		s.add(content[from:min(from+BlockSize, len(content))], int64(from))
		want := manifest.ChecksumCRC32C.New()
		want.Write(content)
		if got := s.sum(int64(len(content))); !bytes.Equal(got, want.Sum(nil)) {
			t.Fatalf("%x, want %x", got, want.Sum(nil))
		}
	})
}
