package conformance

import (
	"context"
	"errors"
)

// T is what [Run] needs of a *testing.T. (This package does not import testing, so that
// programs can import it.)
type T[Self any] interface {
	Context() context.Context
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Helper()
	Run(name string, f func(Self)) bool
	Skipf(format string, args ...any)
}

// Run runs cases against a client of the same program, each as a subtest: those that the
// patterns select, as [Options.Select] does, or all where there are none.
//
//	func TestConformance(t *testing.T) {
//		conformance.Run(t, func(ctx context.Context, target conformance.Target) error {
//			return backup(ctx, options{
//				Host: target.Host, Port: target.Port, Dir: target.Dir,
//				Jobs: target.Jobs, MinJobs: target.MinJobs,
//				WithoutWAL:    target.WAL == "none",
//				TablespaceMap: map[string]string{target.TablespaceOld: target.TablespaceNew},
//			})
//		})
//	}
//
// A client that lacks what a case needs, such as the map of tablespaces, returns
// [ErrNotSupported] for it, and the subtest is skipped. Target.Case names the case.
//
// Cases of SHOULD count. Those that kill the client are skipped: run the kit against
// your program for them. For anything else there is [CheckClient].
func Run[Test T[Test]](t Test, client Client, patterns ...string) {
	t.Helper()
	cases, err := Select(Cases(), patterns)
	if err != nil {
		t.Fatalf("%v", err)
	}
	for _, c := range cases {
		t.Run(c.ID, func(t Test) {
			t.Helper()
			report, err := CheckClient(t.Context(), Options{Client: client, Select: []string{c.ID}, Strict: true})
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Fatalf("%v", err)
			}
			for _, result := range report.Results {
				switch result.Verdict {
				case Pass:
				case NotSupported:
					t.Skipf("%s", result.Happened)
				default:
					t.Errorf("%s (%s %s): %s\nexpected: %s\nhappened: %s", result.Verdict, result.Level, result.Section, result.Why, result.Expected, result.Happened)
				}
			}
		})
	}
}
