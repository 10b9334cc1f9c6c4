package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/pgparallel/pgparallel/client"
)

// The exit statuses.
const (
	exitSuccess = 0
	exitFailure = 1 // what was asked for was not done
	exitUsage   = 2 // what was asked for is not clear
	exitDamaged = 3 // backup: what was asked for was done, and the source has damaged pages
	exitNothing = 3 // conform: what was asked for is nothing
)

// errReported is the error of a command that has said already what is wrong.
var errReported = errors.New("reported already")

// errReportedUsage is the error of a command that has said already what is wrong with its
// options.
var errReportedUsage = errors.Join(errReported, &usageError{})

// command is a command with its options filled in.
type command interface {
	usage() string          // what --help prints
	run(out *console) error // does it; a *usageError if the options do not fit
}

// run is the program: it does what the arguments ask for and returns the exit
// status.
func run(args []string, stdout, stderr *os.File) int {
	surviveWrites()
	out := newConsole(stdout, stderr)
	name, err := execute(args, out)
	if err == nil {
		err = out.outputError()
	}
	if err == nil {
		return exitSuccess
	}
	if !errors.Is(err, errReported) {
		out.error(err)
	}
	status := statusOf(err)
	if status == exitUsage {
		out.hint(fmt.Sprintf("Try %q for more information.", name+" --help"))
	}
	return status
}

// statusOf is the exit status of a command that has ended with the error.
func statusOf(err error) int {
	switch {
	case err == nil:
		return exitSuccess
	case errors.Is(err, client.ErrChecksum):
		return exitDamaged
	case isNothingSelected(err):
		return exitNothing
	case isUsageError(err):
		return exitUsage
	}
	return exitFailure
}

// execute parses the arguments and runs the command among them. The name is that
// of the program with the command, if the arguments have one.
func execute(args []string, out *console) (name string, err error) {
	line := &commandLine{}
	parser, err := newParser(line)
	if err != nil {
		return programName, err
	}
	parsed, err := parser.Parse(line.Conform.takeClient(asFlags(args)))
	if failure, ok := errors.AsType[*kong.ParseError](err); ok {
		name, chosen := selected(failure.Context)
		err := explain(err, chosen, out)
		if _, backup := chosen.(*backupCommand); err != nil && backup && slices.Contains(args, "--json") {
			newJSONLines(out).error(err, "")
		}
		return name, err
	}
	if err != nil {
		return programName, err
	}
	name, chosen := selected(parsed)
	return name, chosen.run(out)
}

// asFlags has the commands help and version be what the flags of these names are.
func asFlags(args []string) []string {
	switch {
	case len(args) > 0 && args[0] == "help":
		return append([]string{"--help"}, args[1:]...)
	case len(args) == 1 && args[0] == "version":
		return []string{"--version"}
	}
	return args
}

// selected is the command that the arguments name, nil if they name none.
func selected(parsed *kong.Context) (string, command) {
	node := parsed.Selected()
	if node == nil {
		return programName, nil
	}
	return programName + " " + node.Name, node.Target.Addr().Interface().(command)
}

// explain answers --help and --version, and turns the parser's other errors into
// usage errors.
func explain(err error, chosen command, out *console) error {
	wrong, usage := errors.AsType[*usageError](err)
	switch {
	case errors.Is(err, errHelp) && chosen != nil:
		out.print(chosen.usage())
	case errors.Is(err, errHelp):
		out.print(programUsage)
	case errors.Is(err, errVersion):
		out.print(fmt.Sprintf("%s %s\n", programName, thisRelease()))
	case usage:
		return wrong // without the parser's own words around it
	default:
		return &usageError{rephrase(err.Error(), chosen)}
	}
	return nil
}

// rephrase is the parser's message in PostgreSQL's words: for options that
// PostgreSQL's own programs have, for the end of the arguments, for an argument that
// is one too many. Options that a misspelt one may have been meant to be are named if
// they are few.
func rephrase(text string, chosen command) string {
	if option, _, found := strings.Cut(text, ": expected "); found && strings.HasSuffix(text, "(<EOL>)") {
		return "option " + option + " requires an argument"
	}
	if option, _, found := strings.Cut(text, ": bool value must be "); found {
		return "option " + option + " doesn't allow an argument"
	}
	if argument, found := strings.CutPrefix(text, "unexpected argument "); found && chosen != nil {
		return fmt.Sprintf("too many command-line arguments (first is %q)", argument)
	}
	if option, found := strings.CutPrefix(text, "unknown flag "); found {
		option, meant, _ := strings.Cut(option, ", did you mean ")
		if why := whyNotSupported(option, chosen); why != "" {
			return "not supported: " + why
		}
		if strings.Count(meant, ",") > 2 {
			return "unknown flag " + option
		}
	}
	return text
}

const programName = "pgparallel"

const programUsage = `pgparallel takes base backups of PostgreSQL clusters over parallel connections.

Usage:
  pgparallel COMMAND [OPTION]...

Commands:
  serve      serve a data directory for base backups
  backup     take a base backup from such a server
  verify     verify a backup against its manifest
  status     show the backups that a server is sending
  rate       change the rate of a backup that runs
  passwd     make the password of a user of serve
  conform    test clients and servers of others
  demo       show all of it on a cluster that is made for the purpose
  completion write what completes a command line in a shell
  help       show the help of a command
  version    output version information

Options:
  -V, --version  output version information, then exit
  -?, --help     show this help, then exit

Try "pgparallel COMMAND --help" for the options of a command.
`

// commandLine is what the arguments are parsed into.
type commandLine struct {
	Serve   serveCommand   `cmd:""`
	Backup  backupCommand  `cmd:""`
	Verify  verifyCommand  `cmd:""`
	Status  statusCommand  `cmd:""`
	Rate    rateCommand    `cmd:""`
	Passwd  passwdCommand  `cmd:""`
	Conform conformCommand `cmd:""`
	Demo    demoCommand    `cmd:""`

	Completion completionCommand `cmd:""`
	Man        manCommand        `cmd:"" hidden:""`

	Help    helpFlag    `short:"?"`
	Version versionFlag `short:"V"`
}

// newParser is a parser that fills in line.
func newParser(line *commandLine) (*kong.Kong, error) {
	return kong.New(line, kong.Name(programName), kong.NoDefaultHelp())
}

// The two flags end the parsing with an error, by which run knows what to print.
var (
	errHelp    = errors.New("help requested")
	errVersion = errors.New("version requested")
)

type helpFlag bool

// BeforeReset is called by the parser where the flag is given, whatever else is
// right or wrong with the arguments.
func (helpFlag) BeforeReset() error { return errHelp }

type versionFlag bool

// BeforeReset is called as [helpFlag.BeforeReset] is.
func (versionFlag) BeforeReset() error { return errVersion }

// usageError says what is wrong with the arguments.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func isUsageError(err error) bool {
	_, usage := errors.AsType[*usageError](err)
	return usage
}

func usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}
