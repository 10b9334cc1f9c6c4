package conformance

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// serverTimeout is how long a case waits for a server's answers.
const serverTimeout = 30 * time.Second

// ServerOptions say which server to test, and how. Config is required.
type ServerOptions struct {
	// Config leads to the server, by [pgconn.ParseConfig]. The server must allow at
	// least 4 sessions at a time (max_wal_senders), and have a cluster that can be
	// backed up; nothing in that is changed. Nobody else should take a backup
	// meanwhile.
	Config *pgconn.Config

	// Select, NotSupported, KnownFailing, Strict and Done are those of [Options].
	Select                     []string
	NotSupported, KnownFailing []string
	Strict                     bool
	Done                       func(Result)
}

// serverCase is a case that tests servers.
type serverCase struct {
	Case
	check func(*talk)
}

// CheckServer runs the cases of [ServerCases] that o selects, one after the other. The
// error says that there was no run, as that of [CheckClient] does.
func CheckServer(ctx context.Context, o ServerOptions) (Report, error) {
	if o.Config == nil {
		return Report{}, errors.New("no server to test is given")
	}
	all := serverCases()
	selected, err := selectCases(all, o.Select)
	if err != nil {
		return Report{}, err
	}
	if err := errors.Join(checkPatterns(all, o.NotSupported), checkPatterns(all, o.KnownFailing)); err != nil {
		return Report{}, err
	}
	report := Report{Strict: o.Strict}
	for _, c := range selected {
		result := o.one(ctx, c)
		report.Results = append(report.Results, result)
		if o.Done != nil {
			o.Done(result)
		}
	}
	return report, context.Cause(ctx)
}

func (o ServerOptions) one(ctx context.Context, c serverCase) Result {
	result := Result{Case: c.Case, Verdict: Pass, KnownFailing: listed(o.KnownFailing, c.ID)}
	if listed(o.NotSupported, c.ID) {
		result.Verdict, result.Happened = NotSupported, "the profile says so"
		return result
	}
	if ctx.Err() != nil {
		result.Verdict, result.Happened = NotRun, "the run was ended before"
		return result
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, serverTimeout)
	defer cancel()
	t := &talk{ctx: ctx, config: o.Config}
	c.check(t)
	t.hangUp()
	result.Duration = time.Since(began)
	if t.found != nil {
		result.Verdict, result.Expected, result.Happened = Fail, oneLine(t.found.expected), oneLine(t.found.happened)
	}
	return result
}
