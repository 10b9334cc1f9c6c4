package serverkit

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pgparallel/pgparallel/protocol"
)

// archive is a tar archive of a BASE_BACKUP, which is read while it comes.
type archive struct {
	name, location string
	size           int64 // as it was sent
	in             *io.PipeWriter
	done           chan struct{} // closed when all below is known

	members []member
	content int64 // of all members, with headers and padding
	length  int64 // uncompressed
	err     error
}

// member is a member of an archive.
type member struct {
	tar.Header
	sum uint32 // CRC-32C
}

func (t *conversation) beginArchive(name, location string) *archive {
	r, w := io.Pipe()
	a := &archive{name: name, location: location, in: w, done: make(chan struct{})}
	t.archives = append(t.archives, a)
	go a.read(r) // ends with the archive
	return a
}

// end ends what the archive is read from: nil for its proper end.
func (a *archive) end(err error) {
	_ = a.in.CloseWithError(err) // it never fails
	<-a.done
}

func (a *archive) read(r *io.PipeReader) {
	defer close(a.done)
	a.err = a.readAll(r)
	_, _ = io.Copy(io.Discard, r) // who writes is not held up
}

func (a *archive) readAll(r io.Reader) error {
	if strings.HasSuffix(a.name, ".gz") {
		unzipped, err := gzip.NewReader(r)
		if err != nil {
			return err
		}
		r = unzipped
	}
	counted := &counter{r: r}
	in := tar.NewReader(counted)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		sum := crc32.New(castagnoli)
		if _, err := io.Copy(sum, in); err != nil {
			return err
		}
		a.members = append(a.members, member{*h, sum.Sum32()})
		a.content += 512 + (h.Size+511)/512*512
	}
	_, err := io.Copy(io.Discard, counted)
	a.length = counted.n
	return err
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// copyOut begins the COPY of all archives, up to PostgreSQL 14 of one, or of the manifest.
func (p *peer) copyOut(s *said, m pgproto3.CopyOutResponse) {
	if p.major < firstOneStream {
		tablespaces := s.tablespaces()
		switch n := len(s.archives); {
		case n < len(tablespaces):
			row := tablespaces[n]
			name := "base.tar"
			if row[0] != nil {
				name = string(row[0]) + ".tar"
			}
			s.archives, s.inside = append(s.archives, p.beginArchive(name, string(row[1]))), name
		default:
			s.inside = manifestName
		}
	}
	s.tell(fmt.Sprintf("CopyOutResponse, format %d, %d columns", m.OverallFormat, len(m.ColumnFormatCodes)))
}

// tablespaces are the rows about them.
func (s *said) tablespaces() (rows []protocol.Row) {
	for _, row := range s.rows {
		if len(row) == 3 {
			rows = append(rows, row)
		}
	}
	return rows
}

// copyData takes data of a BASE_BACKUP.
func (p *peer) copyData(s *said, body []byte) error {
	if p.major < firstOneStream {
		return s.archiveData(body)
	}
	if len(body) == 0 {
		s.exchange.add("CopyData of no bytes")
		return nil
	}
	kind, body := body[0], body[1:]
	switch kind {
	case 'n':
		p.endArchive(s)
		name, rest, _ := bytes.Cut(body, []byte{0})
		location, _, _ := bytes.Cut(rest, []byte{0})
		s.archives, s.inside = append(s.archives, p.beginArchive(string(name), string(location))), string(name)
		text := fmt.Sprintf("archive %s", name)
		if _, suffix, found := bytes.Cut(name, []byte(".tar")); found && len(location) > 0 {
			text = fmt.Sprintf("archive OID.tar%s of LOCATION", suffix)
		}
		s.tell(text)
	case 'm':
		p.endArchive(s)
		s.inside = manifestName
		s.tell("manifest")
	case 'd':
		return s.archiveData(body)
	case 'p':
		if len(body) != 8 {
			s.exchange.add("a report of the progress of %d bytes", len(body))
			return nil
		}
		s.counts, s.counted = append(s.counts, int64(binary.BigEndian.Uint64(body))), true
	default:
		s.exchange.add("CopyData %q", kind)
	}
	return nil
}

// archiveData takes bytes of the archive under way, or of the manifest.
func (s *said) archiveData(p []byte) error {
	s.tell("data")
	if s.inside == manifestName {
		s.manifest = append(s.manifest, p...)
		return nil
	}
	if len(s.archives) == 0 {
		return errors.New("data ahead of the first archive")
	}
	a := s.archives[len(s.archives)-1]
	a.size += int64(len(p))
	_, err := a.in.Write(p)
	return err
}

// endArchive ends the archive under way, if there is one.
func (p *peer) endArchive(s *said) {
	if n := len(s.archives); n > 0 && s.inside == s.archives[n-1].name {
		a := s.archives[n-1]
		a.end(nil)
		p.want(a.err == nil, a.name+": a tar archive", "%v", a.err)
	}
}
