package wire

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// BenchmarkAlignment copies 32 KiB between the kernel and a buffer at each place in its page:
// what pageAligned is for.
func BenchmarkAlignment(b *testing.B) {
	const size = 32 << 10
	fd, err := unix.Open(filepath.Join(b.TempDir(), "file"), unix.O_RDWR|unix.O_CREAT, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "file")
	defer file.Close()
	if _, err := file.Write(make([]byte, size)); err != nil {
		b.Fatal(err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	whole, start := pageAligned(size + pageBytes)
	aligned := whole[start:][:size]
	for _, offset := range []int{0, 1, 5, 16, 32, 64, 4091} {
		buffer := whole[start+offset:][:size]
		for _, call := range []struct {
			name string
			do   func() (int, error)
			undo func() (int, error)
		}{
			{"pread", func() (int, error) { return unix.Pread(fd, buffer, 0) }, nil},
			{"pwrite", func() (int, error) { return unix.Pwrite(fd, buffer, 0) }, nil},
			{
				"send", func() (int, error) { return unix.Write(pair[0], buffer) },
				func() (int, error) { return unix.Read(pair[1], aligned) },
			},
			{
				"receive", func() (int, error) { return unix.Read(pair[1], buffer) },
				func() (int, error) { return unix.Write(pair[0], aligned) },
			},
		} {
			b.Run(fmt.Sprintf("offset=%d/%s", offset, call.name), func(b *testing.B) {
				b.SetBytes(size)
				if call.name == "receive" {
					if n, err := call.undo(); n != size || err != nil {
						b.Fatal(n, err)
					}
				}
				for b.Loop() {
					if n, err := call.do(); n != size || err != nil {
						b.Fatal(n, err)
					}
					if call.undo != nil {
						b.StopTimer()
						if n, err := call.undo(); n != size || err != nil {
							b.Fatal(n, err)
						}
						b.StartTimer()
					}
				}
				if call.name == "receive" {
					_, _ = call.do() // what is left
				}
			})
		}
	}
}
