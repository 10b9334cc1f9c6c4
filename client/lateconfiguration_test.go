package client

import (
	"path/filepath"
	"strings"
	"testing"
)

// A configuration file that comes while files are copied is told of, once.
func TestBackup_ConfigurationComes(t *testing.T) {
	f := newFake(t)
	late := false
	f.query = func(s *fakeSession, command string) bool {
		if strings.HasPrefix(command, "SEND_FILE ('global/pg_control')") && !late {
			late = true
			f.mu.Lock()
			f.files["included.conf"] = "work_mem = 1MB\n"
			f.mu.Unlock()
		}
		return false
	}
	var warnings []string
	_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: filepath.Join(t.TempDir(), "copy"), Log: func(e Event) {
		if e.Level == LevelWarning {
			warnings = append(warnings, e.Message)
		}
	}})
	must(t, err)
	if len(warnings) != 1 || !strings.Contains(warnings[0], `"included.conf" was created during the backup`) {
		t.Errorf("warnings: %q", warnings)
	}
}
