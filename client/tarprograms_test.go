package client_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// compressions are all methods, by the suffix of their archives.
var compressions = map[string]client.Compression{
	"":         {},
	gzipSuffix: {Method: client.CompressionGzip},
	lz4Suffix:  {Method: client.CompressionLZ4},
	zstdSuffix: {Method: client.CompressionZstd},
}

// listing are programs that list an archive, whatever its compression; lz4 is GNU tar's
// by a program only, and Python has neither lz4 nor, for long, zstd.
var listing = map[string]struct {
	arguments []string
	suffixes  string
}{
	"tar":     {[]string{"--no-auto-compress", "-t", "-f"}, ""},
	"bsdtar":  {[]string{"-t", "-f"}, gzipSuffix + lz4Suffix + zstdSuffix},
	"python3": {[]string{"-m", "tarfile", "-l"}, gzipSuffix},
}

// unpacking are programs that unpack an archive.
var unpacking = map[string]struct {
	arguments []string
	suffixes  string
}{
	"tar":    {[]string{"-x", "-f"}, gzipSuffix + zstdSuffix},
	"bsdtar": {[]string{"-x", "-f"}, gzipSuffix + lz4Suffix + zstdSuffix},
}

// manyParts is a cluster whose archives have many parts, small and large ones.
func manyParts(t *testing.T, location string) string {
	t.Helper()
	source := writeSample(t, walsendertest.Sample{
		SmallFiles:  600,
		Tablespaces: []walsendertest.SampleTablespace{{OID: 16400, Location: location}},
	})
	addLargeFiles(t, source)
	return source
}

// addLargeFiles adds relations that are too large for a worker's batch.
func addLargeFiles(t *testing.T, source string) {
	t.Helper()
	random := rand.NewChaCha8([32]byte{1})
	for _, name := range []string{"40001", "40002", "40003"} {
		content := make([]byte, 5<<20)
		random.Read(content[:3<<20])
		must(t, os.WriteFile(filepath.Join(source, "base/5", name), content, 0o600))
	}
}

// Archives of every kind are read to their end by the programs that people have, and
// pass PostgreSQL's own examination.
func TestTar_Programs(t *testing.T) { readByPrograms(t, "", zstdSuffix) }

func TestTar_Programs_Long(t *testing.T) {
	longtest.Mark(t)
	readByPrograms(t, gzipSuffix, lz4Suffix)
}

func readByPrograms(t *testing.T, suffixes ...string) {
	t.Parallel()
	p := postgres.Require(t)
	source := manyParts(t, filepath.Join(t.TempDir(), "space"))
	config := serve(t, source, &walsender.Server{})
	far := "/" + strings.Repeat("far/", 50) + "away" // no header has room for that
	for _, suffix := range suffixes {
		c := compressions[suffix]
		dir := filepath.Join(p.TempDir(t), "copy")
		_, err := client.Backup(t.Context(), client.Options{
			ConnConfig: config, Dir: dir, Jobs: 5, WAL: client.WALOptions{Method: client.WALFetch}, Archive: &client.ArchiveOptions{Compression: c}, NoVerifyChecksums: true,
			TablespaceMap: map[string]string{tablespaceOf(t, source): far},
		})
		must(t, err)
		must(t, p.Own(dir))
		for _, archive := range []string{"base.tar", "16400.tar"} {
			expectReadable(t, filepath.Join(dir, archive+suffix), suffix)
		}
		for program, command := range unpacking {
			if !strings.Contains(command.suffixes, suffix) {
				continue
			}
			t.Run(program+" unpacks base.tar"+suffix, func(t *testing.T) {
				unpacked := t.TempDir()
				runProgram(t, program, append(command.arguments, filepath.Join(dir, "base.tar"+suffix), "-C", unpacked)...)
				if to, err := os.Readlink(filepath.Join(unpacked, "pg_tblspc/16400")); err != nil || to != far {
					t.Errorf("the link leads to %q, %v", to, err)
				}
			})
		}
		for _, major := range []int{18, 19} {
			t.Run("pg_verifybackup "+c.Method.String(), func(t *testing.T) { verifyTar(t, major, dir) })
		}
	}
}

// verifyTar has PostgreSQL verify archives, which it does from 18 on.
func verifyTar(t *testing.T, major int, dir string) {
	t.Helper()
	p := postgres.RequireMajor(t, major)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // pg_verifybackup may be the one that does not end
	defer cancel()
	if out, err := p.Run(ctx, "pg_verifybackup", "--no-parse-wal", dir); err != nil || !strings.Contains(out, "successfully verified") {
		t.Errorf("pg_verifybackup %d: %v\n%s", major, err, out)
	}
}

// expectReadable has the archive tested by the program of its compression, and listed by
// others.
func expectReadable(t *testing.T, archive, suffix string) {
	t.Helper()
	if program := strings.TrimPrefix(suffix, "."); program != "" {
		program = map[string]string{"gz": "gzip", "lz4": "lz4", "zst": "zstd"}[program]
		t.Run(program+" -t", func(t *testing.T) { runProgram(t, program, "-q", "-t", archive) })
	}
	for program, how := range listing {
		if suffix != "" && !strings.Contains(how.suffixes, suffix) {
			continue
		}
		t.Run(program+" lists "+filepath.Base(archive), func(t *testing.T) {
			out := runProgram(t, program, append(how.arguments, archive)...)
			if !strings.Contains(out, "40003") && filepath.Base(archive) == "base.tar"+suffix {
				t.Errorf("%s lists\n%s", program, out)
			}
		})
	}
}

// runProgram skips the test where there is no such program. Nothing may be said to
// stderr.
func runProgram(t *testing.T, name string, arguments ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("needs the program %s", name)
	}
	command := exec.CommandContext(t.Context(), name, arguments...)
	var said bytes.Buffer
	command.Stderr = &said
	out, err := command.Output()
	if err != nil || said.Len() > 0 {
		t.Errorf("%s: %v\n%s", command, err, &said)
	}
	return string(out)
}
