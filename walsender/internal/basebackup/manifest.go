package basebackup

import (
	"hash"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/manifest"
	"github.com/pgparallel/pgparallel/protocol/tarheader"
	"github.com/pgparallel/pgparallel/walsender/internal/spool"
)

// firstManifest2 is the first major version of PostgreSQL whose manifests are of version 2.
const firstManifest2 = 17

// Manifest is the manifest of a BASE_BACKUP, which is sent when all archives are. The methods
// of a nil one do nothing, but for Send.
type Manifest struct {
	spool     spool.Spool
	writer    *manifest.Writer
	algorithm manifest.ChecksumAlgorithm
}

// NewManifest begins the manifest that the options ask for; nil where they ask for none. A
// checksum algorithm that there is none of is an error. The caller closes it. identify is asked
// for the system identifier where the manifests of the major version have that.
func NewManifest(o grammar.BaseBackupOptions, major int, identify func() (protocol.System, error)) (*Manifest, error) {
	if o.Manifest == grammar.NoManifest {
		return nil, nil
	}
	algorithm, err := manifest.ParseChecksumAlgorithm(o.ManifestChecksums)
	if err != nil {
		return nil, err
	}
	options := manifest.Options{Version: 1, Major: major, ForceEncode: o.Manifest == grammar.ManifestForceEncode}
	if major >= firstManifest2 {
		system, err := identify()
		if err != nil {
			return nil, err
		}
		options.Version, options.SystemID = 2, system.SystemID
	}
	m := &Manifest{algorithm: algorithm}
	m.writer = manifest.NewWriter(&m.spool, options)
	return m, nil
}

// Algorithm is that of the checksums; none where there is no manifest.
func (m *Manifest) Algorithm() manifest.ChecksumAlgorithm {
	if m == nil {
		return manifest.ChecksumNone
	}
	return m.algorithm
}

// Sum is the checksum of a file that is on its way; nil for none.
type Sum struct{ hash.Hash }

// Checksum begins the checksum of a file.
func (m *Manifest) Checksum() Sum {
	if m == nil {
		return Sum{}
	}
	return Sum{m.algorithm.New()}
}

// Add sums up more of the file.
func (s Sum) Add(p []byte) {
	if s.Hash != nil {
		s.Write(p)
	}
}

// AddFile adds a file that was sent.
func (m *Manifest) AddFile(path string, h tarheader.Header, sum Sum) error {
	if m == nil {
		return nil
	}
	f := manifest.File{Path: path, Size: h.Size, ModTime: h.ModTime, Algorithm: m.algorithm}
	if sum.Hash != nil {
		f.Checksum = sum.Sum(nil)
	}
	return m.writer.AddFile(f)
}

// Close gives back what the manifest takes.
func (m *Manifest) Close() {
	if m != nil {
		_ = m.spool.Close() // nothing of it is wanted any more
	}
}

// Send completes the manifest with the WAL that the backup needs, and sends it.
func (m *Manifest) Send(w *Stream, ranges []manifest.WALRange) error {
	if err := m.writer.Close(ranges...); err != nil {
		return err
	}
	if err := w.beginManifest(); err != nil {
		return err
	}
	if _, err := m.spool.WriteTo(w); err != nil {
		return err
	}
	return w.endManifest()
}
