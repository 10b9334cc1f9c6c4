package main

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/alecthomas/kong"
)

const programName = "pgparallel"

const programUsage = `pgparallel takes base backups of PostgreSQL clusters over parallel connections.

Usage:
  pgparallel COMMAND [OPTION]...

Commands:
  serve   serve a data directory for base backups
  backup  take a base backup from such a server
  verify  verify a backup against its manifest
  conform test clients and servers of others
  demo    show all of it on a cluster that is made for the purpose

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
	Conform conformCommand `cmd:""`
	Demo    demoCommand    `cmd:""`

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

// version is what the Go toolchain wrote into the program: the tag of the commit that it
// was built from, a pseudo-version where the commit has none, with "+dirty" where the
// source differs from the commit; "(devel)" where the toolchain knows no commit.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// usageError says what is wrong with the arguments.
type usageError struct{ text string }

// Error implements error.
func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}
