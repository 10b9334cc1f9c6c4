package clientkit

import (
	"context"
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/conformance/internal/rule"
	"github.com/pgparallel/pgparallel/walsender/walsendertest"
)

// Runner runs cases against a client. Several goroutines may use it.
type Runner struct {
	Client  Client
	Seed    uint64        // decides the system identifier, and where files break off
	Timeout time.Duration // for a case, after which the client is killed
	Trace   string        // directory that gets what was said; empty: none
}

// Unable says why a case cannot be run here; empty if it can.
func (r Runner) Unable(c Case) string {
	switch lacks := r.Client.Lacks(c.needs); {
	case lacks != "":
		return "no argument of the client has " + lacks
	case c.watch && !canWatch:
		return "this system cannot tell in which order names appear"
	case len(c.signals) > 0 && !r.Client.CanBeKilled():
		return "only a program can be killed"
	}
	return ""
}

// Run has the client meet the case. The finding is nil if the client kept the rule, or
// says that it does not support the case. The error says that the case could not be run.
func (r Runner) Run(ctx context.Context, c Case) (*rule.Finding, Outcome, error) {
	scratch, err := os.MkdirTemp("", "conformance")
	if err != nil {
		return nil, Outcome{}, err
	}
	defer os.RemoveAll(scratch)
	e, unused, err := r.meet(ctx, c, scratch)
	if err != nil {
		return nil, Outcome{}, err
	}
	if e.outcome.NotSupported {
		return nil, e.outcome, nil
	}
	f := first(c.checks, e)
	if f == nil && unused != "" {
		f = rule.Found("the client comes to the point that the case is about", "it did not come to what was to go wrong: %s", inWords(unused))
	}
	return f, e.outcome, nil
}

// meet has the client meet the scenario, and gathers the evidence. unused is what should
// have gone wrong for the client and did not.
func (r Runner) meet(ctx context.Context, c Case, scratch string) (e *evidence, unused string, err error) {
	if scratch, err = filepath.EvalSymlinks(scratch); err != nil {
		return nil, "", err
	}
	at := site{target: newTarget(c, scratch), random: caseRandom(r.Seed, c.ID)}
	e = &evidence{scenario: c.scenario, cluster: c.cluster(at)}
	var w *watch // nil unless the case needs it
	if c.watch {
		if w, err = newWatch(); err != nil {
			return nil, "", err
		}
		defer w.end()
	}
	server, held := c.server(e.cluster, at, w)
	if err := server.Start(); err != nil {
		return nil, "", err
	}
	at.target.Port = server.Addr().(*net.TCPAddr).Port
	e.target = at.target
	if err := c.prepare(e.target); err != nil {
		_ = server.Close() // that error is not the first
		return nil, "", err
	}
	if e.before, err = takeSnapshot(filepath.Join(scratch, "work")); err == nil {
		e.outcome, err = r.take(ctx, c, e.target, held, w)
	}
	if err := errors.Join(err, server.Close()); err != nil {
		return nil, "", err
	}
	if w != nil {
		if e.appeared, err = w.end(); err != nil {
			return nil, "", err
		}
	}
	if e.after, err = takeSnapshot(filepath.Join(scratch, "work")); err != nil {
		return nil, "", err
	}
	e.transcript = server.Transcript()
	e.exchanges = exchanges(e.transcript)
	if none := server.Unused(); len(none) > 0 && (!c.anyFault || len(none) == len(server.Faults)) {
		unused = none[0].String()
	}
	return e, unused, r.trace(c, e.transcript)
}

// newWord is where the name of a function has a new word.
var newWord = regexp.MustCompile(`([a-z])([A-Z])|([A-Z])([A-Z][a-z])`)

// inWords is the call that makes a fault, ErrorInFile("base/1/1", 22), in words: error in
// file ("base/1/1", 22).
func inWords(fault string) string {
	name, arguments, called := strings.Cut(fault, "(")
	words := strings.Fields(newWord.ReplaceAllString(name, "$1$3 $2$4"))
	for i, word := range words {
		if word != strings.ToUpper(word) { // not WAL
			words[i] = strings.ToLower(word)
		}
	}
	text := strings.Join(words, " ")
	if called {
		text += " (" + arguments
	}
	return text
}

// server makes the server of a scenario, which begins the watch if there is one. held is
// nil unless it waits somewhere.
func (s scenario) server(cluster *walsendertest.Cluster, at site, w *watch) (server *walsendertest.Server, held *heldCluster) {
	var served walsender.Cluster = cluster
	if s.wrap != nil {
		served = s.wrap(cluster)
	}
	if s.hold != nil {
		held = newHeldCluster(cluster, *s.hold)
		served = held
	}
	if w != nil {
		served = watchedCluster{cluster, func() error { return w.arm(at.target.Dir) }}
	}
	server = &walsendertest.Server{Cluster: served}
	server.Config.MaxWALSenders = 20
	if s.faults != nil {
		server.Faults = s.faults(at)
	}
	return server, held
}

// take runs the client within the time limit, and lets a server go on that was held. The
// client gets its signals where the server is held, or when the watch sees pg_control.
func (r Runner) take(ctx context.Context, c Case, t Target, held *heldCluster, w *watch) (Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	var reached chan struct{}
	switch {
	case held != nil:
		defer close(held.release)
		reached = held.reached
	case w != nil && len(c.signals) > 0:
		reached = w.released
	}
	return r.Client.Take(ctx, t, reached, c.signals)
}

// jobs is how many connections clients are to copy files over.
const jobs = 3

// newTarget names the places below the scratch directory; work is the one that is
// looked at before and after.
func newTarget(c Case, scratch string) Target {
	work := filepath.Join(scratch, "work")
	_ = os.Mkdir(work, 0o700) // the snapshot fails
	t := Target{
		Case: c.ID, Host: "127.0.0.1", Jobs: jobs, MinJobs: jobs, WAL: "fetch",
		Dir:           filepath.Join(work, "data"),
		TablespaceOld: filepath.Join(scratch, "server", "tablespace"),
		TablespaceNew: filepath.Join(work, "tablespace"),
	}
	if c.minJobs != 0 {
		t.MinJobs = c.minJobs
	}
	if c.wal != "" {
		t.WAL = c.wal
	}
	if c.parents {
		t.Dir = filepath.Join(work, "parent", "of", "data")
	}
	return t
}

// caseRandom is the same for a case whichever others are run.
func caseRandom(seed uint64, id string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(id)) // never fails
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}
