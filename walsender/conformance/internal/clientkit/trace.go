package clientkit

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// trace writes what was said in a case, a file a connection, if that is wanted.
func (r Runner) trace(c Case, said walsendertest.Transcript) error {
	if r.Trace == "" {
		return nil
	}
	dir := filepath.Join(r.Trace, strings.ReplaceAll(c.ID, "/", "-"))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("writing a trace: %w", err)
	}
	var sessions []string
	for _, m := range said {
		if !slices.Contains(sessions, m.Session) {
			sessions = append(sessions, m.Session)
		}
	}
	for _, session := range sessions {
		name := session
		if name == "" {
			name = "server" // what belongs to no session
		}
		text := said.Session(session).String()
		if err := os.WriteFile(filepath.Join(dir, name+".txt"), []byte(text), 0o644); err != nil {
			return fmt.Errorf("writing a trace: %w", err)
		}
	}
	return nil
}
