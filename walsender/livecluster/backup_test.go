package livecluster_test

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestBackup_4_1_RunningCluster takes a backup of a primary that nobody uses, and
// starts it.
func TestBackup_4_1_RunningCluster(t *testing.T) {
	t.Parallel()
	s := serve(t, newPrimary(t, nil))
	must(t, s.Pgbench(t.Context(), "postgres", "-q", "-i", "-s", "1"))
	dir := filepath.Join(s.Programs.TempDir(t), "copy")
	result, err := s.backupTo(t.Context(), t, dir, nil)
	must(t, err)
	if !result.HasLabel || result.StopPtr <= result.StartPtr || result.Timeline != 1 || result.StopTimeline != 1 {
		t.Errorf("result %+v", result)
	}
	must(t, s.Programs.Own(dir))
	if _, err := s.Programs.Run(t.Context(), "pg_verifybackup", dir); err != nil {
		t.Error(err)
	}
	restored := s.Programs.OpenCluster(t, dir)
	must(t, restored.Start(t.Context()))
	want, err := s.Fingerprint(t.Context())
	must(t, err)
	got, err := restored.Fingerprint(t.Context())
	must(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tables (-source +restored):\n%s", diff)
	}
}
