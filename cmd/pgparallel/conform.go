package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pgparallel/pgparallel/walsender/conformance"
)

const conformUsage = `pgparallel conform tests clients and servers of parallel base backups.

Usage:
  pgparallel conform [OPTION]... [CASE]... -- CLIENT ARG...
  pgparallel conform [OPTION]... --server=HOST:PORT [CASE]...
  pgparallel conform [--server=HOST:PORT] list [CASE]...

A CASE is an ID (WAL/004), an area (WAL) or a pattern (WAL/00*); without any,
all cases are run. Those for servers begin with S- (S-FILE/001). CLIENT is a
program that takes a backup. In its arguments these are replaced:
  {host} {port}     where the server is, which allows every user
  {dir}             the data directory to write
  {jobs}            how many connections are to copy files
  {min-jobs}        how many of them are enough, if others cannot be had
  {wal}             "fetch", or "none" for a backup without WAL
  {tablespace-old}  the directory of a tablespace on the server
  {tablespace-new}  the directory to write it to
  {case}            the ID of the case
A client must have {port} and {dir}; what needs another one that it does not
have is not supported. It may also say so itself, by exit status 77.

Options:
      --known-failing=FILE
                         cases that are known to fail: they are run, and it is
                         an error if they pass
      --profile=FILE     cases that the client does not support
      --strict           rules of SHOULD count, too
      --server=HOST:PORT test this server, which must allow 4 sessions; HOST
                         may be the directory of a socket
      --json=FILE        write the results to FILE, as JSON
      --junit=FILE       write the results to FILE, in the form of JUnit
      --trace=DIRECTORY  write what was said on each connection to files
      --parallel=NUM     run this many cases at once (default: 4)
      --timeout=SECONDS  kill a client that takes longer (default: 20)
      --seed=NUM         repeat a run with this seed (default: a new one)

Other options:
  -V, --version          output version information, then exit
  -?, --help             show this help, then exit

FILE of --known-failing and --profile has a CASE a line; # begins a comment. The
exit status is 0 if no case counts as a failure, 1 if one does or could not be
run, 2 if the arguments are wrong, 3 if no case was run: none matches, or none
is supported.
`

type conformCommand struct {
	KnownFailing string
	Profile      string
	Strict       bool
	Server       string
	JSON         string `name:"json"`
	Junit        string
	Trace        string
	Parallel     caseCount   `default:"4"`
	Timeout      caseTimeout `default:"20"`
	Seed         *uint64

	Cases []string `arg:"" optional:""`

	client    []string // and its arguments
	separated bool     // whether there was a --
}

func (*conformCommand) usage() string { return conformUsage }

// takeClient takes the arguments behind -- from those of conform. They are not the
// parser's: what looks like an option there is one of the client.
func (c *conformCommand) takeClient(args []string) []string {
	at := slices.Index(args, "--")
	if at < 0 || args[0] != "conform" {
		return args
	}
	c.client, c.separated = args[at+1:], true
	return args[:at]
}

func (c *conformCommand) run(out *console) error {
	switch {
	case len(c.Cases) > 0 && c.Cases[0] == "list":
		return c.list(out, c.Cases[1:])
	case c.Server != "" && c.separated:
		return usagef("a server and a client cannot be tested at once")
	case c.Server == "" && len(c.client) == 0:
		return usagef("no client specified: it comes behind --")
	}
	report, err := c.check(out)
	if err != nil {
		return err
	}
	if err := c.write(report); err != nil {
		return err
	}
	if err := report.WriteTable(out.stdout); err != nil {
		return fmt.Errorf("could not print the results: %w", err)
	}
	if c.Server == "" {
		out.print(fmt.Sprintf("seed: %d\n", report.Seed))
	}
	if !report.OK() {
		out.print(c.again(report) + "\n")
		if !slices.ContainsFunc(report.Results, report.Counts) {
			return errors.Join(errReported, conformance.ErrNothingSelected)
		}
		return errReported
	}
	return nil
}

func (c *conformCommand) check(out *console) (conformance.Report, error) {
	known, err := readCases(c.KnownFailing)
	if err != nil {
		return conformance.Report{}, err
	}
	unsupported, err := readCases(c.Profile)
	if err != nil {
		return conformance.Report{}, err
	}
	ctx, release := untilInterrupted(out)
	defer release()
	if c.Server != "" {
		return c.checkServer(ctx, out, known, unsupported)
	}
	report, err := conformance.CheckClient(ctx, conformance.Options{
		Command: c.client, Select: c.Cases, KnownFailing: known, NotSupported: unsupported,
		Strict: c.Strict, Parallel: int(c.Parallel), Timeout: c.Timeout.duration(), Seed: c.seed(), Trace: c.Trace,
	})
	if wrong, ok := errors.AsType[*conformance.NoClientError](err); ok {
		return report, &usageError{wrong.Error()}
	}
	return report, err
}

func (c *conformCommand) checkServer(ctx context.Context, out *console, known, unsupported []string) (conformance.Report, error) {
	host, port, found := cutLast(c.Server, ":")
	if !found {
		return conformance.Report{}, usagef("--server wants HOST:PORT, not %q", c.Server)
	}
	info, err := connectionOptions{Host: strings.Trim(host, "[]"), Port: port}.connInfo(out.warning)
	if err != nil {
		return conformance.Report{}, err
	}
	configs, err := info.Configs()
	if err != nil {
		return conformance.Report{}, err
	}
	return conformance.CheckServer(ctx, conformance.ServerOptions{
		Config: configs[0], Select: c.Cases, KnownFailing: known, NotSupported: unsupported, Strict: c.Strict,
	})
}

// cutLast is strings.Cut at the last separator.
func cutLast(s, separator string) (before, after string, found bool) {
	i := strings.LastIndex(s, separator)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(separator):], true
}

// list prints the cases.
func (c *conformCommand) list(out *console, patterns []string) error {
	all := conformance.Cases()
	if c.Server != "" {
		all = conformance.ServerCases()
	}
	found, err := conformance.Select(all, patterns)
	if err != nil {
		return err
	}
	width := conformance.IDWidth(found)
	for _, one := range found {
		out.print(fmt.Sprintf("%-*s %-5s %-6s  %s\n", width, one.ID, one.Section, one.Level, one.Why))
	}
	out.mayBeCut()
	return nil
}

// again is how to repeat the first case that counts as a failure.
func (c *conformCommand) again(report conformance.Report) string {
	for _, result := range report.Results {
		if !report.Counts(result) {
			continue
		}
		if c.Server != "" {
			return fmt.Sprintf("To run one again: %s conform --server=%s %s", programName, c.Server, result.ID)
		}
		return fmt.Sprintf("To run one again: %s conform --seed=%d --trace=DIRECTORY %s -- %s",
			programName, report.Seed, result.ID, shellWords(c.client))
	}
	return "No case was run that could have passed."
}

// shellWords are words as a shell reads them.
func shellWords(words []string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		if quoted[i] = word; word == "" || strings.ContainsAny(word, " \t\n'\"\\$`*?[]#~&;|<>()!") {
			quoted[i] = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}

// isNothingSelected reports whether nothing was tested, which has an exit status of
// its own.
func isNothingSelected(err error) bool { return errors.Is(err, conformance.ErrNothingSelected) }
