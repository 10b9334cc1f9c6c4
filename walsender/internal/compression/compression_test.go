package compression_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"go.uber.org/goleak"

	"github.com/pgparallel/pgparallel/walsender/internal/compression"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// readers are how the formats are read.
var readers = map[string]func(io.Reader) (io.Reader, error){
	"none": func(r io.Reader) (io.Reader, error) { return r, nil },
	"gzip": func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
	"lz4":  func(r io.Reader) (io.Reader, error) { return lz4.NewReader(r), nil },
	"zstd": func(r io.Reader) (io.Reader, error) { return zstd.NewReader(r, zstd.WithDecoderConcurrency(1)) },
}

// TestWriter compresses two archives after each other, in every way.
func TestWriter(t *testing.T) {
	archives := [][]byte{archive(1, 3<<20), {}, archive(2, 100)}
	for algorithm, read := range readers {
		for _, detail := range details[algorithm] {
			t.Run(algorithm+":"+detail, func(t *testing.T) {
				spec, err := compression.Parse(algorithm, &detail, 18)
				if detail == "" {
					spec, err = compression.Parse(algorithm, nil, 18)
				}
				if err != nil {
					t.Fatal(err)
				}
				w, err := spec.NewWriter()
				if err != nil {
					t.Fatal(err)
				}
				for _, want := range archives {
					var compressed bytes.Buffer
					w.Reset(&compressed)
					for rest := want; len(rest) > 0; {
						n, err := w.Write(rest[:min(len(rest), 100_000)])
						if err != nil {
							t.Fatal(err)
						}
						rest = rest[n:]
					}
					if err := w.Close(); err != nil {
						t.Fatal(err)
					}
					r, err := read(&compressed)
					if err != nil && len(want) > 0 {
						t.Fatal(err)
					}
					if got, err := io.ReadAll(r); len(want) > 0 && (err != nil || !bytes.Equal(got, want)) {
						t.Errorf("%d bytes come back as %d, %v", len(want), len(got), err)
					}
				}
			})
		}
	}
}

var details = map[string][]string{
	"none": {""},
	"gzip": {"", "1", "level=9"},
	"lz4":  {"", "1", "12"},
	"zstd": {"", "1", "level=3,workers=2", "long", "workers=-1", "-5"},
}

// archive is a repeatable mixture of bytes that repeat and bytes that do not.
func archive(seed uint64, size int) []byte {
	random := rand.New(rand.NewPCG(seed, 0))
	var b []byte
	for len(b) < size {
		if random.IntN(2) == 0 {
			b = append(b, bytes.Repeat([]byte{byte(random.IntN(256))}, random.IntN(4000))...)
			continue
		}
		for range random.IntN(4000) {
			b = append(b, byte(random.IntN(256)))
		}
	}
	return b[:size]
}

// TestWriter_Abandoned leaves an archive in the middle: no goroutine stays behind.
func TestWriter_Abandoned(t *testing.T) {
	for algorithm := range readers {
		detail := ""
		if algorithm == "zstd" {
			detail = "workers=2"
		}
		t.Run(algorithm, func(t *testing.T) {
			spec := compression.Spec{Algorithm: algorithm, Level: 1}
			if detail != "" {
				spec.Workers = 2
			}
			w, err := spec.NewWriter()
			if err != nil {
				t.Fatal(err)
			}
			w.Reset(failing{})
			var failed error
			for range 64 {
				if _, err := w.Write(archive(3, 200_000)); err != nil {
					failed = err
					break
				}
			}
			if failed == nil {
				t.Error("the error of what is written to is lost")
			}
			w.Reset(io.Discard)
			if err := w.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, fmt.Errorf("no room") }
