package walsender

import (
	"context"
	"hash"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/manifest"
	"github.com/pgparallel/pgparallel/protocol/tarheader"
	"github.com/pgparallel/pgparallel/walsender/internal/spool"
)

// firstManifest2 is the first major version of PostgreSQL whose manifests are of version 2.
const firstManifest2 = 17

// baseBackupManifest is the manifest of a BASE_BACKUP, which is sent when all archives are.
// The methods of a nil one do nothing.
type baseBackupManifest struct {
	spool     spool.Spool
	writer    *manifest.Writer
	algorithm manifest.ChecksumAlgorithm
}

// newManifest begins the manifest. The caller closes it.
func (b *baseBackup) newManifest(ctx context.Context) (*baseBackupManifest, error) {
	algorithm, err := manifest.ParseChecksumAlgorithm(b.options.ManifestChecksums)
	if err != nil {
		return nil, err
	}
	o := manifest.Options{Version: 1, Major: b.major, ForceEncode: b.options.Manifest == grammar.ManifestForceEncode}
	if b.major >= firstManifest2 {
		system, err := b.cluster.Identify(ctx)
		if err != nil {
			return nil, err
		}
		o.Version, o.SystemID = 2, system.SystemID
	}
	m := &baseBackupManifest{algorithm: algorithm}
	m.writer = manifest.NewWriter(&m.spool, o)
	return m, nil
}

// usedAlgorithm is that of the checksums; none where there is no manifest.
func (m *baseBackupManifest) usedAlgorithm() manifest.ChecksumAlgorithm {
	if m == nil {
		return manifest.ChecksumNone
	}
	return m.algorithm
}

// manifestSum is the checksum of a file that is on its way; nil for none.
type manifestSum struct{ hash.Hash }

// checksum begins the checksum of a file.
func (m *baseBackupManifest) checksum() manifestSum {
	if m == nil {
		return manifestSum{}
	}
	return manifestSum{m.algorithm.New()}
}

// add sums up more of the file.
func (s manifestSum) add(p []byte) {
	if s.Hash != nil {
		s.Write(p)
	}
}

// addFile adds a file that was sent.
func (m *baseBackupManifest) addFile(path string, h tarheader.Header, sum manifestSum) error {
	if m == nil {
		return nil
	}
	f := manifest.File{Path: path, Size: h.Size, ModTime: h.ModTime, Algorithm: m.algorithm}
	if sum.Hash != nil {
		f.Checksum = sum.Sum(nil)
	}
	return m.writer.AddFile(f)
}

func (m *baseBackupManifest) close() { _ = m.spool.Close() } // nothing of it is wanted any more

// sendManifest completes the manifest and sends it.
func (b *baseBackup) sendManifest(ctx context.Context, stop protocol.BackupStop) error {
	ranges, err := b.walRanges(ctx, stop)
	if err != nil {
		return err
	}
	if err := b.manifest.writer.Close(ranges...); err != nil {
		return err
	}
	if err := b.stream.beginManifest(); err != nil {
		return err
	}
	if _, err := b.manifest.spool.WriteTo(b.stream); err != nil {
		return err
	}
	return b.stream.endManifest()
}
