package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// errUsage is told by package flag already.
var errUsage = errors.New("wrong usage")

// options say what is compared, and how long that takes.
type options struct {
	size   byteSize
	files  int
	rounds int
	time   time.Duration
	jobs   jobList
	only   subjectSet

	tmpfs, disk string
	pgparallel  string
	pgbackrest  string
}

// kinds are what -only selects from, in the order of the table.
var kinds = []string{"unix", "tcp", "tls", "descriptors", "pgbackrest", "cp", "majors", "disk", "reflink", "small"}

func (o *options) parse(args []string, errors io.Writer) error {
	*o = options{size: 1600e6, jobs: jobList{1, 2, 4}}
	flags := newFlagSet("bench", errors)
	flags.Var(&o.size, "size", "bytes of the cluster, as 200MB or 2GB")
	flags.IntVar(&o.files, "files", 80_000, "number of small files")
	flags.IntVar(&o.rounds, "rounds", 5, "rounds that count")
	flags.DurationVar(&o.time, "time", 17*time.Minute, "about how long all may take: what is slower has fewer rounds, though 3 at least; 0: any time")
	flags.Var(&o.jobs, "jobs", "values of -j, and of pgBackRest's process-max")
	flags.Var(&o.only, "only", "compare these only, of "+strings.Join(kinds, ","))
	flags.StringVar(&o.tmpfs, "tmpfs", "/dev/shm", "a directory in memory: the clusters are here, and most backups go here")
	flags.StringVar(&o.disk, "disk", "/var/tmp", "a directory on a disk: backups that wait for it go here")
	flags.StringVar(&o.pgparallel, "pgparallel", "", "the program to measure (default: it is built)")
	flags.StringVar(&o.pgbackrest, "pgbackrest", "pgbackrest", "the program pgBackRest")
	return o.check(parse(flags, args))
}

func (o *options) check(err error) error {
	switch {
	case err != nil:
		return err
	case o.size < 1e6:
		return fmt.Errorf("-size=%d is too small: at least 1MB", o.size)
	case o.rounds < 1:
		return fmt.Errorf("-rounds=%d: at least one round has to count", o.rounds)
	case o.files < 1000:
		return fmt.Errorf("-files=%d is too few: at least 1000", o.files)
	}
	return nil
}

func newFlagSet(name string, errors io.Writer) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(errors)
	return flags
}

// parse has the flag package tell what is wrong.
func parse(flags *flag.FlagSet, args []string) error {
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return errUsage
	case flags.NArg() > 0:
		return fmt.Errorf("argument %q is not an option", flags.Arg(0))
	}
	return nil
}

// byteSize is a number of bytes, written with a decimal unit or none.
type byteSize int64

func (s *byteSize) Set(text string) error {
	number, factor := text, 1.0
	for unit, value := range map[string]float64{"kB": 1e3, "MB": 1e6, "GB": 1e9} {
		if before, found := strings.CutSuffix(text, unit); found {
			number, factor = before, value
		}
	}
	value, err := strconv.ParseFloat(number, 64)
	if err != nil || value <= 0 || value*factor > 1e15 {
		return fmt.Errorf("%q is not a size, such as 200MB", text)
	}
	*s = byteSize(value * factor)
	return nil
}

func (s *byteSize) String() string { return inUnits(int64(*s)) }

// inUnits is a size as people say it.
func inUnits(bytes int64) string {
	if bytes < 1e9 {
		return strconv.FormatInt((bytes+5e5)/1e6, 10) + "MB"
	}
	return strconv.FormatFloat(float64(bytes)/1e9, 'f', 1, 64) + "GB"
}

// jobList are numbers of connections.
type jobList []int

func (j *jobList) Set(text string) error {
	var list jobList
	for field := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(field)
		if err != nil || n < 1 || n > 64 {
			return fmt.Errorf("%q is not a number of connections, 1 to 64", field)
		}
		list = append(list, n)
	}
	*j = list
	return nil
}

func (j *jobList) String() string {
	return strings.Trim(strings.Join(strings.Fields(fmt.Sprint(*j)), ","), "[]")
}

// subjectSet is what -only has selected; the zero value is everything.
type subjectSet map[string]bool

func (s *subjectSet) Set(text string) error {
	*s = subjectSet{}
	for kind := range strings.SplitSeq(text, ",") {
		if !slices.Contains(kinds, kind) {
			return fmt.Errorf("there is no %q: %s", kind, strings.Join(kinds, ", "))
		}
		(*s)[kind] = true
	}
	return nil
}

func (s *subjectSet) String() string { return strings.Join(slices.Sorted(maps.Keys(*s)), ",") }

// has reports whether one of the kinds is selected.
func (s subjectSet) has(kinds ...string) bool {
	return s == nil || slices.ContainsFunc(kinds, func(kind string) bool { return s[kind] })
}

// isDirectory is the error of a directory that is not there.
func isDirectory(flag, dir string) error {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return fmt.Errorf("-%s: there is no directory %q", flag, dir)
	}
	return nil
}
