package client

import (
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pgparallel/pgparallel/protocol"
)

// Where nothing keeps the WAL until it is fetched, a backup fails when it is gone, and not
// when all is copied (B19). Elsewhere nobody looks.
func TestGuard_5_13_WALIsGone(t *testing.T) {
	for access, looks := range map[protocol.WALAccess]bool{protocol.WALTransient: true, protocol.WALKept: false} {
		t.Run(string(access), func(t *testing.T) {
			f := newFake(t)
			f.access = access
			copied := make(chan struct{}) // closed when a file may end
			var asked atomic.Int32
			f.query = func(s *fakeSession, command string) bool {
				switch {
				case command == someFile:
					<-copied
				case command == "LIST_WAL_FILES START_WAL_LOCATION '0/100028'" && asked.Add(1) == 3:
					s.fail(protocol.Errorf(protocol.CodeUndefinedFile, "requested WAL segment 000000010000000000000001 has already been removed"))
					return true
				}
				return false
			}
			if !looks {
				time.AfterFunc(200*time.Millisecond, func() { close(copied) })
			}
			_, err := Backup(t.Context(), Options{ConnConfig: f.config(), Dir: filepath.Join(t.TempDir(), "copy"), walInterval: 20 * time.Millisecond})
			if !looks {
				must(t, err)
				if asked.Load() > 0 {
					t.Error("it asked for WAL that nothing removes")
				}
				return
			}
			close(copied)
			if gone, ok := errors.AsType[*protocol.Error](err); !ok || gone.Code != protocol.CodeUndefinedFile || !strings.Contains(gone.Hint, "--passthrough") {
				t.Errorf("error is %v", err)
			}
		})
	}
}
