package client

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/client/internal/outputtest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// What a killed backup has left says of which cluster it is, from its first moment on, and is
// refreshed from no other.
func TestRefresh_5_16_UnfinishedOfAnotherCluster(t *testing.T) {
	const ours, theirs = 7400000000000000001, 7400000000000000002
	_, dsn := serveSampleOf(t, walsendertest.Sample{SystemID: ours})
	_, otherDSN := serveSampleOf(t, walsendertest.Sample{SystemID: theirs})
	config, err := pgconn.ParseConfig(dsn)
	must(t, err)
	otherConfig, err := pgconn.ParseConfig(otherDSN)
	must(t, err)
	for _, step := range []string{"start backup", "copy files"} {
		t.Run(step, func(t *testing.T) {
			o := Options{ConnConfig: config, Dir: filepath.Join(t.TempDir(), "copy"), NoSync: true, NoVerifyChecksums: true}
			killIn(t, step, dsn, o)
			before := outputtest.Tree(t, filepath.Dir(o.Dir))
			o.Refresh, o.ConnConfig = true, otherConfig
			_, err := Backup(t.Context(), o)
			want := fmt.Sprintf("is of another cluster: its system identifier is %d, the server's is %d", ours, theirs)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("the error is %v, want %q", err, want)
			}
			outputtest.SameTree(t, before, filepath.Dir(o.Dir))
			o.ConnConfig = config
			_, err = Backup(t.Context(), o)
			must(t, err)
			if !isFinished(t, o.Dir) {
				t.Error("it is not finished")
			}
		})
	}
}

// Where nothing says of which cluster an unfinished backup is, as of those of earlier versions,
// the user is told so.
func TestRefresh_5_16_UnfinishedOfUnknownCluster(t *testing.T) {
	_, dsn := serveSample(t)
	config, err := pgconn.ParseConfig(dsn)
	must(t, err)
	o := Options{ConnConfig: config, Dir: filepath.Join(t.TempDir(), "copy"), NoSync: true, NoVerifyChecksums: true}
	killIn(t, "copy files", dsn, o)
	marker := filepath.Join(o.Dir, output.MarkerFile)
	text := regexp.MustCompile(`(?m)^system identifier: \d+\n`).ReplaceAllString(read(t, o.Dir, output.MarkerFile), "")
	must(t, os.WriteFile(marker, []byte(text), 0o600))
	told := 0
	o.Refresh = true
	o.Log = func(e Event) {
		if e.Level == LevelInfo && strings.Contains(e.Message, "of which cluster the backup in directory") {
			told++
		}
	}
	for range 2 { // of the finished one it is known
		_, err = Backup(t.Context(), o)
		must(t, err)
	}
	if told != 1 {
		t.Errorf("the user is told %d times, want 1", told)
	}
}
