package datatree

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Markers of this version and of earlier ones are known, and one that was cut short is not. This
// version's name first what goes on with the backup.
func TestMarker_5_6_Texts(t *testing.T) {
	for _, c := range []struct {
		text  string
		known bool
	}{
		{markerText, true},
		{earlierMarkerText, true},
		{markerText[:len(markerText)-1], false},
		{earlierMarkerText[:len(earlierMarkerText)-1], false},
	} {
		path := filepath.Join(t.TempDir(), "marker")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := readMarker(f); (err == nil) != c.known {
			t.Errorf("%q: error is %v", c.text, err)
		}
	}
	for _, text := range []string{markerText, otherMarkerText} {
		refresh, force := strings.Index(text, "--refresh"), strings.Index(text, "--force")
		if refresh < 0 || force < refresh {
			t.Errorf("the marker names --refresh at %d, --force at %d", refresh, force)
		}
	}
}
