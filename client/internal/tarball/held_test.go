package tarball

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pgparallel/pgparallel/client/internal/datatree"
	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/client/internal/outputtest"
)

// However archives are compressed, --force knows what a killed backup has left of them.
func TestHeld_5_6_EveryCompression(t *testing.T) {
	for m := CompressionNone; (Compression{Method: m}).method() != nil; m++ {
		dir := t.TempDir()
		held := filepath.Join(dir, "base.tar"+Compression{Method: m}.suffix())
		outputtest.Must(t, os.WriteFile(held+output.IncompleteSuffix, nil, 0o600))
		if !datatree.IsUnfinished(dir) {
			t.Errorf("%v: a held archive is not known", m)
		}
		outputtest.Must(t, os.Rename(held+output.IncompleteSuffix, held))
		if datatree.IsUnfinished(dir) {
			t.Errorf("%v: a backup that is complete is taken for an unfinished one", m)
		}
	}
}
