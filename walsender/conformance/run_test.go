package conformance_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/client"
	"github.com/pgparallel/pgparallel/walsender/conformance"
)

// TestRun has the client of this project pass as a function, in the way in which others
// would test theirs.
func TestRun(t *testing.T) {
	t.Parallel()
	conformance.Run(t, func(ctx context.Context, target conformance.Target) error {
		config, err := pgconn.ParseConfig(fmt.Sprintf("host=%s port=%d user=backup sslmode=disable", target.Host, target.Port))
		if err != nil {
			return err
		}
		o := client.Options{
			ConnConfig: config, Dir: target.Dir, Jobs: target.Jobs, MinJobs: target.MinJobs, NoSync: true, WAL: client.WALOptions{Method: client.WALFetch},
			TablespaceMap: map[string]string{target.TablespaceOld: target.TablespaceNew},
		}
		if target.WAL == "none" {
			o.WAL.Method = client.WALNone
		}
		_, err = client.Backup(ctx, o)
		return err
	})
}

// TestCheckClient_Verdicts runs clients that take no backup at all.
func TestCheckClient_Verdicts(t *testing.T) {
	script := func(text string) []string { return []string{"sh", "-c", text, "{port}", "{dir}"} }
	for _, test := range []struct {
		name    string
		o       conformance.Options
		verdict conformance.Verdict
		happens string
		ok      bool
	}{
		{"success", conformance.Options{Command: script("exit 0")}, conformance.Fail, "missing", false},
		{"failure", conformance.Options{Command: script("echo no idea >&2; exit 1")}, conformance.Fail, "exit status 1, saying: no idea", false},
		{"signal", conformance.Options{Command: script("kill -SEGV $$")}, conformance.Fail, "signal \"segmentation fault\"", false},
		{"time", conformance.Options{Command: script("sleep 60"), Timeout: 100 * time.Millisecond}, conformance.Fail, "did not end in time", false},
		{"77", conformance.Options{Command: script("echo cannot; exit 77")}, conformance.NotSupported, "cannot", false},
		{"known", conformance.Options{Command: script("exit 1"), KnownFailing: []string{"CONNECT"}}, conformance.Fail, "exit status 1", true},
		{"profile", conformance.Options{Command: script("exit 1"), NotSupported: []string{"CONNECT/001"}}, conformance.NotSupported, "profile", false},
		{"function", conformance.Options{Client: func(context.Context, conformance.Target) error { return errors.New("no") }}, conformance.Fail, "saying: no", false},
		{"function 77", conformance.Options{Client: func(context.Context, conformance.Target) error { return conformance.ErrNotSupported }}, conformance.NotSupported, "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.o.Select = []string{"CONNECT/001"}
			report, err := conformance.CheckClient(t.Context(), test.o)
			if err != nil {
				t.Fatal(err)
			}
			result := report.Results[0]
			if result.Verdict != test.verdict || !strings.Contains(result.Happened, test.happens) || report.OK() != test.ok {
				t.Errorf("%s: %s; ok %v", result.Verdict, result.Happened, report.OK())
			}
		})
	}
}

// TestCheckClient_OwnWord has a strict run ask for a profile: the exit status 77 alone
// would excuse a client from any MUST.
func TestCheckClient_OwnWord(t *testing.T) {
	for _, test := range []struct {
		id             string
		strict, listed bool
		counts         bool
	}{
		{id: "CONNECT/001", counts: false},
		{id: "CONNECT/001", strict: true, counts: true},
		{id: "CONNECT/001", strict: true, listed: true, counts: false},
		{id: "CONNECT/010", strict: true, counts: false}, // a SHOULD
	} {
		o := conformance.Options{
			Command: []string{"sh", "-c", "exit 77", "{port}", "{dir}"}, Select: []string{test.id}, Strict: test.strict,
		}
		if test.listed {
			o.NotSupported = o.Select
		}
		report, err := conformance.CheckClient(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if result := report.Results[0]; result.Verdict != conformance.NotSupported || report.Counts(result) != test.counts {
			t.Errorf("%+v: %s, counts %v", test, result.Verdict, report.Counts(result))
		}
	}
}

// TestCheckClient_KnownFailing holds a known failure that passes against the run.
func TestCheckClient_KnownFailing(t *testing.T) {
	program := build(t, wrongClient)
	report, err := conformance.CheckClient(t.Context(), conformance.Options{
		Command: wrongCommand(program, "lower-case"), Select: []string{"GRAMMAR/001", "GRAMMAR/002"},
		KnownFailing: []string{"GRAMMAR"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if counts := [2]bool{report.Counts(report.Results[0]), report.Counts(report.Results[1])}; counts != [2]bool{false, true} {
		t.Errorf("counting: %v", counts)
	}
}

func TestCheckClient_Trace(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "trace")
	_, err := conformance.CheckClient(t.Context(), conformance.Options{
		Command: wrongCommand(build(t, wrongClient), ""), Select: []string{"CONNECT/002"}, Trace: dir,
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "CONNECT-002", "A.txt"))
	if err != nil || !strings.Contains(string(text), "A> START_BACKUP") {
		t.Errorf("%v: %s", err, text)
	}
}

func TestCheckClient_Options(t *testing.T) {
	for want, o := range map[string]conformance.Options{
		"no client to test is given":          {},
		"no argument of the client has {dir}": {Command: []string{"true", "{port}"}},
		"could not find the client: exec: \"no-such-program\": executable file not found in $PATH": {Command: []string{"no-such-program", "{port}", "{dir}"}},
		"no case matches NOTHING":                        {Command: []string{"true", "{port}", "{dir}"}, Select: []string{"NOTHING"}},
		`malformed pattern "[": syntax error in pattern`: {Command: []string{"true", "{port}", "{dir}"}, KnownFailing: []string{"["}},
	} {
		if _, err := conformance.CheckClient(t.Context(), o); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
		_, err := conformance.CheckClient(t.Context(), o)
		if _, noClient := errors.AsType[*conformance.NoClientError](err); noClient != strings.Contains(want, "client") {
			t.Errorf("%v: about the client: %v", err, noClient)
		}
	}
}
