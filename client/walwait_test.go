package client

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
	pgwire "github.com/pgparallel/pgparallel/protocol/wire"
)

// A server that has said that it waits for its archive is not silent, however long that
// takes (B39). One that says nothing is.
func TestBackup_TimeoutAndTheArchive(t *testing.T) {
	for name, says := range map[string]bool{"waits by its word": true, "says nothing": false} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.query = func(s *fakeSession, command string) bool {
				if command == "STOP_BACKUP" {
					if says {
						n := &protocol.Error{Severity: "NOTICE", Code: "00000", Message: "base backup done, waiting for required WAL segments to be archived"}
						s.send(pgwire.NoticeResponse(n))
					}
					time.Sleep(1500 * time.Millisecond)
				}
				return false
			}
			o := Options{ConnConfig: f.config(), Dir: filepath.Join(t.TempDir(), "copy"), WAL: WALOptions{Method: WALNone}, Timeout: 500 * time.Millisecond}
			_, err := Backup(t.Context(), o)
			if says {
				must(t, err)
			} else if err == nil || !strings.Contains(err.Error(), "could not stop backup: server has been silent") {
				t.Errorf("error is %v", err)
			}
		})
	}
}
