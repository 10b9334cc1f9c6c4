package clientkit

import (
	"time"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/conformance/internal/rule"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// How long a server says nothing: what a client has to bear, and what gives one that
// does not wait the time to show it.
const (
	pauseLong  = 1500 * time.Millisecond
	pauseShort = 300 * time.Millisecond
)

func joinCases() []Case {
	notThere := protocol.Errorf(protocol.CodeObjectNotInPrerequisite, "the server reads another data directory")
	return []Case{{
		Rule:     rule.Must("JOIN/001", "§5.1", "The sessions that send files are those that have joined, as many as the user asked for."),
		scenario: scenario{needs: several(), sample: withFile("base/1/40000", 4<<20), faults: always(walsendertest.Drip("base/1/40000", 256<<10, 10*time.Millisecond))},
		checks:   []check{succeeds, othersJoin},
	}, {
		Rule:     rule.Must("JOIN/002", "§5.4", "A worker that may not join would have copied another cluster."),
		scenario: scenario{needs: several(), faults: always(walsendertest.FailCommand("JOIN_BACKUP", 1, notThere))},
		checks:   refuses(),
	}, {
		Rule:     rule.Must("JOIN/003", "§5.4", "A backup that nobody can join is not taken by the leader alone, unless the user said so."),
		scenario: scenario{needs: several(), faults: always(walsendertest.WrongID())},
		checks:   refuses(),
	}, {
		Rule:     rule.Must("JOIN/004", "§5.4", "A connection that ends while it joins is a worker that cannot join."),
		scenario: scenario{needs: several(), faults: always(walsendertest.CutCommand("JOIN_BACKUP", 2))},
		checks:   []check{wholeOrNothing},
	}, {
		Rule: rule.Should("JOIN/005", "§5.4", "A user who has permitted it gets a backup from the workers that are left."),
		scenario: scenario{needs: []string{"{min-jobs}"}, minJobs: 1, faults: always(
			walsendertest.RefuseConnection(3, walsendertest.TooManySenders))},
		checks: completes(),
	}, {
		Rule: rule.Must("JOIN/006", "§5.4", "Fewer than the user has permitted are too few."),
		scenario: scenario{needs: []string{"{min-jobs}"}, minJobs: 2, faults: always(
			walsendertest.RefuseConnection(2, walsendertest.TooManySenders),
			walsendertest.RefuseConnection(3, walsendertest.PlainClose))},
		checks: refuses(),
	}}
}

func grammarCases() []Case {
	return []Case{{
		Rule:   rule.Must("GRAMMAR/001", "§2.1", "Stock servers know keywords in upper case only."),
		checks: []check{succeeds, upperCase},
	}, {
		Rule:   rule.Must("GRAMMAR/002", "§2.4", "A Query holds one command, and only one, of the grammar."),
		checks: []check{succeeds, wellFormed},
	}, {
		Rule:     rule.Must("GRAMMAR/003", "§2.2", "A quote in a name is written twice."),
		scenario: scenario{sample: withFile("global/it's", 100)},
		checks:   completes(),
	}, {
		Rule:     rule.Must("GRAMMAR/004", "§2.2", "Names are bytes: blanks, line feeds and backslashes mean nothing."),
		scenario: scenario{sample: withFile("global/two\nlines \\n and \"more\"", 100)},
		checks:   completes(),
	}, {
		Rule:     rule.Must("GRAMMAR/005", "§2.2", "File names need not be UTF-8."),
		scenario: scenario{sample: withFile(notUTF8, 100)},
		checks:   completes(),
	}}
}
