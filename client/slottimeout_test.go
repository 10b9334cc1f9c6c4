package client_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// PostgreSQL 18 takes slots away that nobody has used for a while, at a checkpoint: no
// phase of a backup leaves its slot idle, the wait for a spread checkpoint included.
func TestStreamLive_IdleSlotTimeout_Long(t *testing.T) {
	longtest.Mark(t)
	t.Parallel()
	ctx, p := t.Context(), postgres.RequireMajor(t, 18)
	c := p.NewCluster(t, postgres.InitOptions{WALSegmentSizeMB: 1, Settings: map[string]string{
		"idle_replication_slot_timeout": "1s", "idle_session_timeout": "1s", "max_slot_wal_keep_size": "4MB",
		"checkpoint_timeout": "30s", "checkpoint_completion_target": "0.1", "min_wal_size": "2MB", "max_wal_size": "32MB",
	}})
	must(t, c.Start(ctx))
	config := beside(t, c)
	for name, o := range map[string]client.Options{"temporary": {}, "new": {WAL: client.WALOptions{Slot: "new", CreateSlot: true}}} {
		t.Run(name, func(t *testing.T) {
			query(t, c, "CREATE TABLE "+name+" AS SELECT generate_series(1, 20000) i") // dirty buffers
			o.ConnConfig, o.Dir, o.MaxRate = config, filepath.Join(p.TempDir(t), "copy"), 16<<10
			began, waited := time.Now(), time.Duration(0)
			o.Log = func(e client.Event) {
				if strings.Contains(e.Message, "checkpoint completed") {
					waited = time.Since(began)
				}
			}
			_, err := client.Backup(ctx, o)
			must(t, err)
			if waited < 1500*time.Millisecond {
				t.Errorf("the checkpoint took %v: this test tests nothing", waited)
			}
		})
	}
}
