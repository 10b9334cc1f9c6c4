package serverkit

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/manifest"
	"github.com/pgparallel/pgparallel/walsender/conformance/internal/rule"
)

func digestCases() []Case {
	return slices.Concat(listDigestCases(), rangeCases(), fileDigestCases())
}

// listDigestCases are about the digests of LIST_FILES.
func listDigestCases() []Case {
	return []Case{
		{rule.Must("S-DIGEST/001", "§8.3", "The digest of a file is that of the bytes which are sent, and its size their number."), func(t *conversation) {
			t.digesting(func(p *peer) {
				for _, f := range p.digested("CRC32C") {
					a := p.ask("SEND_FILE (%s)", quoted(f.Path))
					if a.code == protocol.CodeUndefinedFile {
						continue
					}
					t.want(crcOf(a) == f.Checksum && a.size == f.Size, fmt.Sprintf("%q: a digest of %x, of %d bytes", f.Path, crcOf(a), a.size), "%x, %d", f.Checksum, f.Size)
				}
			})
		}},
		{rule.Must("S-DIGEST/002", "§8.3", "A directory and pg_control have no digest."), func(t *conversation) {
			t.digesting(func(p *peer) {
				a := p.done("LIST_FILES CHECKSUM 'CRC32C'")
				p.shaped(a, protocol.FileChecksumColumns())
				for _, row := range a.rows {
					f, err := protocol.DecodeFileChecksum(row, manifest.ChecksumCRC32C.Size())
					t.want(err == nil, "rows of LIST_FILES CHECKSUM", "%v", err)
					t.want(f.Checksum == "" || f.Type == protocol.TypeFile && f.Path != controlFile, fmt.Sprintf("%q: NULL", f.Path), "%x", f.Checksum)
				}
			})
		}},
		{rule.Must("S-DIGEST/003", "§8.3", "The algorithms are those of manifests, in any case, and no others."), func(t *conversation) {
			t.digesting(func(p *peer) {
				for algorithm := manifest.ChecksumCRC32C; algorithm <= manifest.ChecksumSHA512; algorithm++ {
					for _, name := range []string{algorithm.String(), strings.ToLower(algorithm.String())} {
						for _, row := range p.done("LIST_FILES CHECKSUM '%s'", name).rows {
							_, err := protocol.DecodeFileChecksum(row, algorithm.Size())
							t.want(err == nil, fmt.Sprintf("%s: digests of %d bytes, or NULL", name, algorithm.Size()), "%v", err)
						}
					}
				}
				p.refused("22023", "LIST_FILES CHECKSUM 'MD5'")
				p.refused("22023", "FILE_DIGESTS ('PG_VERSION') CHECKSUM 'MD5'")
				p.refused("22023", "FILE_DIGESTS ('PG_VERSION') CHECKSUM 'NONE'")
			})
		}},
	}
}

// rangeCases are about parts of files.
func rangeCases() []Case {
	return []Case{
		{rule.Must("S-DIGEST/004", "§8.3", "A range is a part of the file, up to its end."), func(t *conversation) {
			t.digesting(func(p *peer) {
				whole := p.done("SEND_FILE ('PG_VERSION')")
				for offset := int64(0); offset <= whole.size; offset++ {
					for length := int64(1); length <= whole.size+1; length++ {
						a := p.done("SEND_FILE ('PG_VERSION') OFFSET %d LENGTH %d", offset, length)
						want := whole.head[offset:min(whole.size, offset+length)]
						t.want(string(a.head) == string(want), fmt.Sprintf("%s: %q", a.command, want), "%q", a.head)
					}
				}
				if f, ok := p.relation(); ok {
					a, b := p.done("SEND_FILE (%s) LENGTH 8192", quoted(f.Path)), p.done("SEND_FILE (%s) OFFSET 8192", quoted(f.Path))
					t.want(a.size == 8192 && a.size+b.size >= f.Size, fmt.Sprintf("two parts of %d bytes of %q", f.Size, f.Path), "%d and %d", a.size, b.size)
				}
			})
		}},
		{rule.Must("S-DIGEST/005", "§8.3", "A range behind the end of a file is empty."), func(t *conversation) {
			t.digesting(func(p *peer) {
				for _, command := range []string{"OFFSET 1073741824", "OFFSET 9223372036854767616 LENGTH 8192"} {
					a := p.done("SEND_FILE ('PG_VERSION') %s", command)
					t.want(a.kinds == "HcCZ", a.command+": CopyOutResponse, CopyDone, CommandComplete, ReadyForQuery", "%s (%s)", a, a.kinds)
				}
			})
		}},
		{rule.Must("S-DIGEST/006", "§8.3", "pg_control has no ranges, and a file of a relation those of whole pages only."), func(t *conversation) {
			t.digesting(func(p *peer) {
				p.refused("22023", "SEND_FILE ('%s') LENGTH 8192", controlFile)
				p.refused("22023", "SEND_FILE ('%s') OFFSET 512", controlFile)
				if f, ok := p.relation(); ok {
					p.refused("22023", "SEND_FILE (%s) OFFSET 1", quoted(f.Path))
					p.refused("22023", "SEND_FILE (%s) LENGTH 4096", quoted(f.Path))
				}
				p.refused("22003", "SEND_FILE ('PG_VERSION') LENGTH 0")
			})
		}},
	}
}

// fileDigestCases are about FILE_DIGESTS, and servers that have no digests.
func fileDigestCases() []Case {
	return []Case{
		{rule.Must("S-DIGEST/007", "§8.3", "FILE_DIGESTS tells the digest of a file, and those of its blocks."), func(t *conversation) {
			t.digesting(func(p *peer) {
				for _, f := range p.digested("CRC32C") {
					a := p.ask("FILE_DIGESTS (%s) CHECKSUM 'CRC32C'", quoted(f.Path))
					if a.code == protocol.CodeUndefinedFile {
						continue
					}
					t.want(a.tag == "FILE_DIGESTS" && a.kinds == "HdcCZ", a.name()+": a COPY, and CommandComplete FILE_DIGESTS", "%s (%s)", a, a.kinds)
					t.want(string(a.head) == f.Checksum, fmt.Sprintf("%q: the digest of the list, %x", f.Path, f.Checksum), "%x", a.head)
					blocks := p.done("FILE_DIGESTS (%s) CHECKSUM 'CRC32C' BLOCK 8192", quoted(f.Path))
					want := (f.Size + 8191) / 8192 * int64(manifest.ChecksumCRC32C.Size())
					t.want(blocks.size == want, fmt.Sprintf("%s: %d bytes", blocks.name(), want), "%d", blocks.size)
					t.want(f.Size == 0 || f.Size > 8192 || string(blocks.head) == f.Checksum, fmt.Sprintf("%q, of one block: %x", f.Path, f.Checksum), "%x", blocks.head)
				}
			})
		}},
		{rule.Must("S-DIGEST/008", "§8.3", "pg_control and WAL have no digests, and a block is a number of pages, up to 1 MiB."), func(t *conversation) {
			t.digesting(func(p *peer) {
				p.refused("22023", "FILE_DIGESTS ('%s') CHECKSUM 'CRC32C'", controlFile)
				p.refused("22023", "FILE_DIGESTS ('pg_wal/000000010000000000000001') CHECKSUM 'CRC32C'")
				p.refused("22023", "FILE_DIGESTS ('PG_VERSION') CHECKSUM 'CRC32C' BLOCK 4096")
				p.refused("22023", "FILE_DIGESTS ('PG_VERSION') CHECKSUM 'CRC32C' BLOCK 1056768")
				p.refused("42501", "FILE_DIGESTS ('postmaster.pid') CHECKSUM 'CRC32C'")
				p.refused("58P01", "FILE_DIGESTS ('base/1/99999999') CHECKSUM 'CRC32C'")
				p.stop()
				p.done("FILE_DIGESTS ('PG_VERSION') CHECKSUM 'CRC32C'") // it needs no backup
			})
		}},
		{rule.Must("S-DIGEST/009", "§8.3", "A server without digests takes them for a mistake in a command that it knows."), func(t *conversation) {
			p := t.session()
			if p.hasDigests() {
				return
			}
			p.refused("42601", "LIST_FILES CHECKSUM 'CRC32C'")
			p.start()
			p.refused("42601", "SEND_FILE ('PG_VERSION') OFFSET 1")
			p.stop()
		}},
	}
}

func (p *peer) hasDigests() bool {
	return protocol.ExtensionDigests.Announced(p.parameters[protocol.ParameterExtensions])
}

// digesting runs a check in a backup, where the server has digests.
func (t *conversation) digesting(check func(*peer)) {
	p := t.session()
	if !p.hasDigests() {
		return
	}
	p.start()
	check(p)
}

// digested are files with a digest: some, none of which takes long to read.
func (p *peer) digested(algorithm string) []protocol.File {
	a, err := manifest.ParseChecksumAlgorithm(algorithm)
	p.want(err == nil, "an algorithm", "%v", err)
	var files []protocol.File
	for _, row := range p.done("LIST_FILES CHECKSUM '%s'", algorithm).rows {
		f, err := protocol.DecodeFileChecksum(row, a.Size())
		p.want(err == nil, "rows of LIST_FILES CHECKSUM", "%v", err)
		if f.Checksum != "" && f.Size <= 16<<20 && len(files) < 100 {
			files = append(files, f)
		}
	}
	p.want(len(files) > 0, "files with a digest", "none")
	return files
}

// relation is a file of a relation with two pages at least, if there is one.
func (p *peer) relation() (f protocol.File, ok bool) {
	for _, row := range p.done("LIST_FILES").rows {
		f, _ = protocol.DecodeFile(row)
		if f.Type == protocol.TypeFile && f.Size >= 2*8192 && f.Size <= 16<<20 && protocol.KindOfPath(f.Path) == protocol.PathRelation {
			return f, true
		}
	}
	return protocol.File{}, false
}

// crcOf is the CRC-32C of what an answer sent, in the byte order of manifests.
func crcOf(a answer) string { return string(binary.LittleEndian.AppendUint32(nil, a.sum)) }

// quoted is a path as a command has it.
func quoted(path string) string { return "'" + strings.ReplaceAll(path, "'", "''") + "'" }
