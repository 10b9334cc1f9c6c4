package datatree

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pgparallel/pgparallel/client/internal/outputtest"
)

// Where the server says that a tablespace is, is a matter of trust: what no mapping
// says has to look like one.
func TestUnmapped_5_9(t *testing.T) {
	base := t.TempDir()
	t.Setenv("HOME", filepath.Join(base, "home"))
	outputtest.Must(t, os.MkdirAll(filepath.Join(base, "home", "empty"), 0o700))
	outputtest.Must(t, os.Mkdir(filepath.Join(base, ".config"), 0o700))
	outputtest.Must(t, os.Symlink(".config", filepath.Join(base, "link")))
	for location, want := range map[string]string{
		"home/new":       "",
		"home/empty":     "",
		"new":            "",
		"home":           "is, or holds, the home directory",
		"":               "is, or holds, the home directory",
		"home/.ssh":      "it is hidden",
		"link/autostart": "it is hidden",
		".new/x":         "it is hidden",
		"new/new":        "its parent directory does not exist",
	} {
		if got := whyNoTablespace(filepath.Join(base, location)); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%q: %q, want %q", location, got, want)
		}
	}
	for _, location := range []string{"/", "/etc", "/etc/cron.d", "/usr/local/bin/x", "/dev/shm", "/root/x", "/var/lib/dpkg/info", "/proc/self"} {
		if whyNoTablespace(location) == "" {
			t.Errorf("%q is taken", location)
		}
	}
}
