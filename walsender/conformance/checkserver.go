package conformance

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/walsender/conformance/internal/serverkit"
)

// ServerOptions say which server to test, and how. Config is required.
type ServerOptions struct {
	// Config leads to the server, by [pgconn.ParseConfig]. The server must allow at
	// least 4 sessions at a time (max_wal_senders), and have a cluster that can be
	// backed up, within minutes; nothing in that is changed. Nobody else should take a backup
	// meanwhile. A server that slows down who guesses ids (§4.2) answers the cases about
	// that late, which is no fault.
	Config *pgconn.Config

	// Select, NotSupported, KnownFailing, Strict and Done are those of [Options].
	Select                     []string
	NotSupported, KnownFailing []string
	Strict                     bool
	Done                       func(Result)
}

// CheckServer runs the cases of [ServerCases] that o selects, one after the other. The
// error says that there was no run, as that of [CheckClient] does.
func CheckServer(ctx context.Context, o ServerOptions) (Report, error) {
	if o.Config == nil {
		return Report{}, errors.New("no server to test is given")
	}
	if err := checkSelection(ServerCases(), o.Select, o.NotSupported, o.KnownFailing); err != nil {
		return Report{}, err
	}
	report := Report{Strict: o.Strict}
	for _, c := range serverkit.Cases() {
		if !matches(o.Select, c.ID) {
			continue
		}
		result := o.one(ctx, c)
		report.Results = append(report.Results, result)
		if o.Done != nil {
			o.Done(result)
		}
	}
	return report, context.Cause(ctx)
}

// one runs a case.
func (o ServerOptions) one(ctx context.Context, c serverkit.Case) Result {
	result := Result{Case: caseOf(c.Rule), Verdict: Pass, KnownFailing: listed(o.KnownFailing, c.ID)}
	if listed(o.NotSupported, c.ID) {
		result.Verdict, result.Happened = NotSupported, "the profile says so"
		return result
	}
	if ctx.Err() != nil {
		result.Verdict, result.Happened = NotRun, "the run was ended before"
		return result
	}
	began := time.Now()
	finding, excuse := c.Run(ctx, o.Config)
	result.Duration = time.Since(began)
	switch {
	case finding != nil:
		result.fail(finding)
	case excuse != nil:
		result.excuse(excuse)
	}
	return result
}
