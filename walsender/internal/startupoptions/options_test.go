package startupoptions

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTake_1_4(t *testing.T) {
	for options, want := range map[string]struct {
		set     map[string]string
		ignored []string
	}{
		"":                         {},
		"-c wal_sender_timeout=5s": {set: map[string]string{"wal_sender_timeout": "5s"}},
		"-cwal_sender_timeout=5s":  {set: map[string]string{"wal_sender_timeout": "5s"}},
		" --wal-sender-timeout=5s\t--datestyle=German\\,\\ DMY": {set: map[string]string{"wal_sender_timeout": "5s", "DateStyle": "German, DMY"}},
		"-c WAL_SENDER_TIMEOUT=1 -c wal_sender_timeout=2":       {set: map[string]string{"wal_sender_timeout": "2"}},
		"-c TimeZone=UTC": {}, // the packet's own counts
		"-c session_authorization=postgres --search_path=x -d 5 -c": {ignored: []string{"search_path", "session_authorization", "-d", "5", "-c"}},
		"--wal_sender_timeout": {ignored: []string{"--wal_sender_timeout"}},
		"-c wal_sender_timeout=5s\\ --session_authorization=postgres x": {set: map[string]string{"wal_sender_timeout": "5s --session_authorization=postgres"}, ignored: []string{"x"}},
	} {
		parameters := map[string]string{"options": options, "user": "u", "TimeZone": "CET"}
		wanted := maps.Clone(parameters)
		maps.Copy(wanted, want.set)
		ignored := Take(parameters)
		if diff := cmp.Diff(wanted, parameters); diff != "" {
			t.Errorf("%q (-want +got):\n%s", options, diff)
		}
		seen := map[string]bool{}
		for _, name := range ignored {
			seen[name] = true
		}
		for _, name := range want.ignored {
			if !seen[name] {
				t.Errorf("%q: nothing is said of %s", options, name)
			}
		}
		if len(ignored) != len(want.ignored) {
			t.Errorf("%q: ignored %q, want %q", options, ignored, want.ignored)
		}
	}
}

// Whatever the options are, nothing but the passed settings is set, and a warning stays
// short.
func FuzzTake(f *testing.F) {
	f.Add("-c wal_sender_timeout=5s --search-path=x\\ y -d")
	f.Fuzz(func(t *testing.T, options string) {
		parameters := map[string]string{"options": options}
		ignored := Take(parameters)
		for name := range parameters {
			if name != "options" && name != "wal_sender_timeout" && name != "DateStyle" && name != "TimeZone" {
				t.Errorf("%q sets %s", options, name)
			}
		}
		if w := Warning(ignored); (w == nil) != (len(ignored) == 0) || w != nil && len(w.Message) > 2048 {
			t.Errorf("%q: warning %v", options, w)
		}
		if strings.TrimSpace(options) == "" && len(ignored) > 0 {
			t.Errorf("%q: %q", options, ignored)
		}
	})
}
