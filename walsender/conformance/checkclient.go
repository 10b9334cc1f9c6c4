package conformance

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"sync"
	"time"

	"github.com/pgparallel/pgparallel/walsender/conformance/internal/clientkit"
	"github.com/pgparallel/pgparallel/walsender/conformance/internal/rule"
)

// NoClientError says that [Options] name no client, or more than one, a program that is not
// there, or one that is not told {port} or {dir}.
type NoClientError struct{ Reason error }

func (e *NoClientError) Error() string { return e.Reason.Error() }

func (e *NoClientError) Unwrap() error { return e.Reason }

// CheckClient runs the cases that o selects, and returns when all are judged. The error
// says that there was no run: o names no client that can be run ([*NoClientError]), nothing
// is selected ([ErrNothingSelected]), ctx ended. That cases fail is no error: see [Report.OK].
func CheckClient(ctx context.Context, o Options) (Report, error) {
	client, err := o.client()
	if err != nil {
		return Report{}, &NoClientError{err}
	}
	if err := checkSelection(Cases(), o.Select, o.NotSupported, o.KnownFailing); err != nil {
		return Report{}, err
	}
	selected := slices.DeleteFunc(clientkit.Cases(), func(c clientkit.Case) bool { return !matches(o.Select, c.ID) })
	order := make([]string, len(selected))
	for i, c := range selected {
		order[i] = c.ID
	}
	shuffle(selected, o.Seed)
	report := Report{Seed: o.Seed, Strict: o.Strict}
	r := clientRun{o, clientkit.Runner{Client: client, Seed: o.Seed, Timeout: o.Timeout, Trace: o.Trace}}
	if r.Runner.Timeout <= 0 {
		r.Runner.Timeout = DefaultTimeout
	}
	r.all(ctx, selected, func(result Result) {
		report.Results = append(report.Results, result)
		if o.Done != nil {
			o.Done(result)
		}
	})
	slices.SortFunc(report.Results, func(a, b Result) int { return slices.Index(order, a.ID) - slices.Index(order, b.ID) })
	return report, context.Cause(ctx)
}

// client is the client to test.
func (o Options) client() (clientkit.Client, error) {
	switch {
	case o.Client != nil && len(o.Command) > 0:
		return nil, errors.New("both a function and a program to test are given")
	case o.Client != nil:
		return function(o.Client), nil
	case len(o.Command) == 0:
		return nil, errors.New("no client to test is given")
	}
	for _, needed := range []string{"{port}", "{dir}"} {
		if program(o.Command).Lacks([]string{needed}) != "" {
			return nil, fmt.Errorf("no argument of the client has %s", needed)
		}
	}
	if _, err := exec.LookPath(o.Command[0]); err != nil {
		return nil, fmt.Errorf("could not find the client: %w", err)
	}
	return program(o.Command), nil
}

// shuffle decides the order of the cases. Those that take long come first, so that none
// of them is what the others have to wait for.
func shuffle(cases []clientkit.Case, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 0))
	random.Shuffle(len(cases), func(i, j int) { cases[i], cases[j] = cases[j], cases[i] })
	slices.SortStableFunc(cases, func(a, b clientkit.Case) int {
		switch {
		case a.Slow == b.Slow:
			return 0
		case a.Slow:
			return -1
		}
		return 1
	})
}

// clientRun is one call of CheckClient.
type clientRun struct {
	Options
	clientkit.Runner
}

// all runs the cases, some at a time, and hands each result to done.
func (r clientRun) all(ctx context.Context, cases []clientkit.Case, done func(Result)) {
	queue := make(chan clientkit.Case)
	var mu sync.Mutex
	var workers sync.WaitGroup
	parallel := r.Parallel
	if parallel <= 0 {
		parallel = DefaultParallel
	}
	for range parallel {
		workers.Go(func() { // ends with the queue
			for c := range queue {
				result := r.one(ctx, c)
				mu.Lock()
				done(result)
				mu.Unlock()
			}
		})
	}
	for _, c := range cases {
		queue <- c
	}
	close(queue)
	workers.Wait()
}

// one runs a case.
func (r clientRun) one(ctx context.Context, c clientkit.Case) Result {
	result := Result{Case: caseOf(c.Rule), Verdict: NotRun, KnownFailing: listed(r.KnownFailing, c.ID)}
	began := time.Now()
	switch unable := r.Unable(c); {
	case ctx.Err() != nil:
		result.Happened = "the run was ended before"
	case listed(r.NotSupported, c.ID):
		result.Verdict, result.Happened = NotSupported, "the profile says so"
	case unable != "":
		result.Verdict, result.Happened = NotSupported, unable
	default:
		r.judge(ctx, c, &result)
	}
	result.Duration = time.Since(began)
	return result
}

// judge runs the client and fills in the verdict.
func (r clientRun) judge(ctx context.Context, c clientkit.Case, result *Result) {
	finding, outcome, err := r.Run(ctx, c)
	result.Output = outcome.Output
	switch {
	case err != nil:
		result.Happened = rule.OneLine(err.Error())
	case outcome.NotSupported:
		result.Verdict, result.Happened, result.OwnWord = NotSupported, rule.OneLine(outcome.LastLine()), true
	case finding != nil:
		result.fail(finding)
		result.Ended = rule.OneLine(outcome.Says())
	default:
		result.Verdict = Pass
	}
}
