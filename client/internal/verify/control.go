package verify

import (
	"context"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
)

// checkControl makes sure that pg_control is sound, of the system that the manifest names,
// and of a checkpoint that the backup can have: none is behind its end, and a server that is
// started makes one. Its checksum in the manifest cannot tell: CRC-32C of data that ends in
// its own CRC-32C is the same for all.
func (v *verification) checkControl(context.Context) error {
	content, found := v.files.kept[output.ControlFile]
	if !found {
		return nil // ignored, or a problem already
	}
	c, err := controlfile.DecodeForeign(content)
	var end protocol.LSN // of the WAL that the backup needs
	for _, r := range v.manifest.WALRanges {
		end = max(end, r.End)
	}
	switch {
	case err != nil:
		v.problemf(System, output.ControlFile, "%q: %v", output.ControlFile, err)
		delete(v.files.kept, output.ControlFile)
	case v.manifest.Version >= 2 && c.SystemID != v.manifest.SystemID:
		v.problemf(System, output.ControlFile, "%q: manifest system identifier is %d, but control file has %d", output.ControlFile, v.manifest.SystemID, c.SystemID)
	case end != 0 && c.Checkpoint > end:
		v.problemf(System, output.ControlFile, "%q: its checkpoint is at %v, and the backup ends at %v: a server was started from it", output.ControlFile, c.Checkpoint, end)
	}
	return nil
}
