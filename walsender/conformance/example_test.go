package conformance_test

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/pgparallel/pgparallel/walsender/conformance"
)

// A client that is a function. In a test [conformance.Run] does the same, with a subtest
// for each case.
func ExampleCheckClient() {
	lazy := func(ctx context.Context, t conformance.Target) error {
		return errors.New("backups are not implemented yet")
	}
	report, err := conformance.CheckClient(context.Background(), conformance.Options{
		Client: lazy,
		Select: []string{"CONNECT/001", "HOSTILE/001"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	report.WriteTable(os.Stdout)
	fmt.Println("passed:", report.OK())
	// Output:
	// CONNECT/001     §5.1  MUST    fail           A backup of a cluster that was shut down, with nothing going wrong, is the least that a client does.
	//     expected: the client takes the backup: exit status 0
	//     happened: it ended with exit status 1, saying: backups are not implemented yet
	// HOSTILE/001     §5.9  MUST    fail           A path with .. leads out of the target.
	//     expected: the client comes to the point that the case is about
	//     happened: it did not come to what was to go wrong: listed row ("", {"../evil" d})
	//     client: it ended with exit status 1, saying: backups are not implemented yet
	// What failed, by cause, and where to read about it in protocol/PROTOCOL.md:
	//     1  the client takes the backup: exit status 0 (§5.1): CONNECT/001
	//     1  the client comes to the point that the case is about (§5.9): HOSTILE/001
	// 2 cases: 2 fail; 2 count as failures
	// passed: false
}

// All cases, as a program would list them.
func ExampleCases() {
	for _, c := range conformance.Cases()[:2] {
		fmt.Println(c.ID, c.Section, c.Level, c.Why)
	}
	// Output:
	// CONNECT/001 §5.1 MUST A backup of a cluster that was shut down, with nothing going wrong, is the least that a client does.
	// CONNECT/002 §5.1 MUST A cluster that runs is backed up too, with the label that comes with it.
}
