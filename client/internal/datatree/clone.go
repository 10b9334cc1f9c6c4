package datatree

import (
	"errors"
	"fmt"
	"os"

	"github.com/pgparallel/pgparallel/client/internal/output"
)

// Clone has the file share the blocks of another one, up to size. A clone is of one moment: no
// write to the other file is in it half. What the clone has beyond size is cut off: the other
// file may have grown.
func (e *dirEntry) Clone(from *os.File, size int64) (*os.File, error) {
	to := e.out.asFile(e.name)
	if cloneFile(to, from) != nil {
		// Whatever the reason, a copy needs none of it; but a part may be there.
		if err := to.Truncate(0); err != nil {
			return nil, fmt.Errorf("could not truncate file %q: %w", e.name, output.Cause(err))
		}
		return nil, errors.ErrUnsupported
	}
	info, err := to.Stat()
	if err != nil {
		return nil, fmt.Errorf("could not stat file %q: %w", e.name, output.Cause(err))
	}
	if info.Size() > size {
		if err := to.Truncate(size); err != nil {
			return nil, fmt.Errorf("could not truncate file %q: %w", e.name, output.Cause(err))
		}
	}
	readDirectly(to)
	return to, nil
}
