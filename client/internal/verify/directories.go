package verify

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/pgparallel/pgparallel/protocol"
)

// checkDirectories makes sure that a data directory has the directories that no manifest lists.
func (v *verification) checkDirectories(context.Context) error {
	content, found := v.files.kept["PG_VERSION"]
	major, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if v.layout.format == Tar || !found || err != nil {
		return nil // ignored, or a problem already
	}
	for _, path := range protocol.EmptyDirectories(major) {
		info, err := os.Stat(filepath.Join(v.dir, path))
		if v.ignored(path) || err == nil && info.IsDir() || err != nil && !os.IsNotExist(err) {
			continue // what is there and cannot be read, or is a file, has been told
		}
		v.problem(Problem{
			Kind: Missing, Path: path, Message: fmt.Sprintf("directory %q is missing, and PostgreSQL %d does not start without it", path, major),
			Hint: fmt.Sprintf("Make it, as the user who runs PostgreSQL: mkdir -m 0700 '%s'", strings.ReplaceAll(filepath.Join(v.dir, path), "'", `'\''`)),
		})
	}
	return nil
}
