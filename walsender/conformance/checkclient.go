package conformance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"
)

// ErrNothingSelected is returned, wrapped, where a pattern of [Options] matches no case:
// what tests nothing must not look like a success.
var ErrNothingSelected = errors.New("no case matches")

// CheckClient runs the cases that o selects, and returns when all are judged. The error
// says that there was no run: o is not right, nothing is selected, ctx ended. That cases
// fail is no error: see [Report.OK].
func CheckClient(ctx context.Context, o Options) (Report, error) {
	who, err := o.subject()
	if err != nil {
		return Report{}, err
	}
	all := clientCases()
	selected, err := selectCases(all, o.Select)
	if err != nil {
		return Report{}, err
	}
	if err := errors.Join(checkPatterns(all, o.NotSupported), checkPatterns(all, o.KnownFailing)); err != nil {
		return Report{}, err
	}
	order := make([]string, len(selected))
	for i, c := range selected {
		order[i] = c.ID
	}
	shuffle(selected, o.Seed)
	report := Report{Seed: o.Seed, Strict: o.Strict}
	r := runner{Options: o, who: who}
	r.all(ctx, selected, func(result Result) {
		report.Results = append(report.Results, result)
		if o.Done != nil {
			o.Done(result)
		}
	})
	sortResults(report.Results, order)
	return report, context.Cause(ctx)
}

func (o Options) subject() (subject, error) {
	switch {
	case o.Client != nil && len(o.Command) > 0:
		return nil, errors.New("both a function and a program to test are given")
	case o.Client != nil:
		return function(o.Client), nil
	case len(o.Command) == 0:
		return nil, errors.New("no client to test is given")
	}
	for _, needed := range []string{"{port}", "{dir}"} {
		if program(o.Command).lacks([]string{needed}) != "" {
			return nil, fmt.Errorf("no argument of the client has %s", needed)
		}
	}
	if _, err := exec.LookPath(o.Command[0]); err != nil {
		return nil, fmt.Errorf("could not find the client: %w", err)
	}
	return program(o.Command), nil
}

type runner struct {
	Options
	who subject
}

// all runs the cases, some at a time, and hands each result to done.
func (r runner) all(ctx context.Context, cases []clientCase, done func(Result)) {
	queue := make(chan clientCase)
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
func (r runner) one(ctx context.Context, c clientCase) Result {
	result := Result{Case: c.Case, Verdict: NotRun, KnownFailing: listed(r.KnownFailing, c.ID)}
	began := time.Now()
	defer func() { result.Duration = time.Since(began) }()
	switch lacks := r.who.lacks(c.needs); {
	case ctx.Err() != nil:
		result.Happened = "the run was ended before"
	case listed(r.NotSupported, c.ID):
		result.Verdict, result.Happened = NotSupported, "the profile says so"
	case lacks != "":
		result.Verdict, result.Happened = NotSupported, "no argument of the client has "+lacks
	case c.watch && !canWatch:
		result.Verdict, result.Happened = NotSupported, "this system cannot tell in which order names appear"
	case len(c.signals) > 0 && !r.who.canBeKilled():
		result.Verdict, result.Happened = NotSupported, "only a program can be killed"
	default:
		r.judge(ctx, c, &result)
	}
	result.Duration = time.Since(began)
	return result
}

// judge runs the client and fills in the verdict.
func (r runner) judge(ctx context.Context, c clientCase, result *Result) {
	scratch, err := os.MkdirTemp("", "conformance")
	if err != nil {
		result.Happened = oneLine(err.Error())
		return
	}
	defer os.RemoveAll(scratch)
	e, unused, err := r.run(ctx, c, scratch)
	if err != nil {
		result.Happened = oneLine(err.Error())
		return
	}
	result.Output = e.outcome.output
	if e.outcome.notSupported {
		result.Verdict, result.Happened, result.OwnWord = NotSupported, oneLine(lastLine(e.outcome.output)), true
		return
	}
	f := first(c.judge, e)
	if f == nil && unused != "" {
		f = found("the client comes to the point that the case is about", "this never happened: %s", unused)
	}
	if f != nil {
		result.Verdict, result.Expected, result.Happened = Fail, oneLine(f.expected), oneLine(f.happened)
		return
	}
	result.Verdict = Pass
}
