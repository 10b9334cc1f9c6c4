// Command report prints what PostgreSQL's tests found, by file and class, and compares that
// with what is expected. It exits with 1 where an assertion fails that is not expected
// to, or passes that is.
package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io/fs"
	"log"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
)

// The classes of a failure, as the file of expectations names them. What is not expected
// counts as a fault.
var classes = []string{"limit", "wording", "fault"}

// stopped stands in the file of expectations for the assertions that a test does not reach.
const stopped = "(stops)"

// result is what a run of a test file said.
type result struct {
	assertions int
	failed     []string // by their names
	skipped    bool     // the whole file
}

// failure is an assertion that fails.
type failure struct{ major, file, assertion string }

func main() {
	log.SetFlags(0)
	if len(os.Args) != 4 {
		log.Fatal("usage: report EXPECTED STOCK OURS, where STOCK and OURS hold VERSION/SUITE/FILE.tap")
	}
	expected, err := readExpected(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	stock, ours := read(os.Args[2]), read(os.Args[3])
	var surprises []string
	for _, version := range slices.Sorted(maps.Keys(ours)) {
		surprises = append(surprises, report(version, stock[version], ours[version], expected)...)
	}
	for _, surprise := range surprises {
		fmt.Println(surprise)
	}
	if len(surprises) > 0 {
		os.Exit(1)
	}
}

// report prints the table of a version, and returns what is not as expected.
func report(version string, stock, ours map[string]result, expected map[failure][]string) []string {
	var surprises []string
	major, _, _ := strings.Cut(version, ".")
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "PostgreSQL %s\tassertions\tpassed\t%s\tnot reached\t\n", version, strings.Join(classes, "\t"))
	row := func(name string, n []int) {
		fmt.Fprintf(table, "%s\t%s\t\n", name, strings.Trim(strings.Join(strings.Fields(fmt.Sprint(n)), "\t"), "[]"))
	}
	total := make([]int, 3+len(classes))
	for _, file := range slices.Sorted(maps.Keys(ours)) {
		r, all := ours[file], stock[file]
		if all.skipped && r.skipped {
			fmt.Fprintf(table, "%s\tskipped\t\n", file)
			continue
		}
		if all.assertions == 0 || len(all.failed) > 0 {
			surprises = append(surprises, fmt.Sprintf("%s %s: does not pass with PostgreSQL's own programs", version, file))
		}
		counts := make([]int, len(total))
		counts[0], counts[1], counts[len(counts)-1] = all.assertions, r.assertions-len(r.failed), all.assertions-r.assertions
		if r.assertions < all.assertions {
			r.failed = append(r.failed, stopped)
		}
		for _, assertion := range r.failed {
			f := failure{major, file, assertion}
			class := "fault"
			if known := expected[f]; len(known) > 0 {
				class, expected[f] = known[0], known[1:]
			} else {
				surprises = append(surprises, fmt.Sprintf("%s %s: fails: %s", version, file, assertion))
			}
			if assertion != stopped {
				counts[2+slices.Index(classes, class)]++
			}
		}
		for f, left := range expected {
			if f.major == major && f.file == file && len(left) > 0 {
				surprises = append(surprises, fmt.Sprintf("%s %s: passes, and is expected to fail: %s", version, file, f.assertion))
			}
		}
		for i, n := range counts {
			total[i] += n
		}
		row(file, counts)
	}
	row("total", total)
	table.Flush()
	fmt.Println()
	slices.Sort(surprises)
	return surprises
}

// readExpected reads the classes of what is expected to fail, one for each time that the
// assertion does. A line "[CLASS: REASON]" begins a group of lines "MAJOR… FILE: ASSERTION".
func readExpected(path string) (map[failure][]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	expected := map[failure][]string{}
	class := ""
	for i, line := range strings.Split(string(text), "\n") {
		place, assertion, found := strings.Cut(line, ": ")
		fields := strings.Fields(place)
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "[") && slices.Contains(classes, place[1:]):
			class = place[1:]
		case !found || class == "" || len(fields) < 2:
			return nil, fmt.Errorf("%s:%d: neither a group nor an assertion", path, i+1)
		default:
			last := len(fields) - 1
			for _, major := range fields[:last] {
				f := failure{major, fields[last], assertion}
				expected[f] = append(expected[f], class)
			}
		}
	}
	return expected, nil
}

// read reads all results below a directory, by version and file.
func read(dir string) map[string]map[string]result {
	results := map[string]map[string]result{}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		name, isResult := strings.CutSuffix(path, ".tap")
		if err != nil || !isResult {
			return err
		}
		r, err := readTAP(path)
		if err != nil {
			return err
		}
		version, file, _ := strings.Cut(strings.TrimPrefix(name, dir+"/"), "/")
		if results[version] == nil {
			results[version] = map[string]result{}
		}
		results[version][file] = r
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	return results
}

// assertion is a line of the Test Anything Protocol; those of subtests are indented, and
// count for nothing.
var assertion = regexp.MustCompile(`^(not )?ok \d+(?: - (.*))?$`)

func readTAP(path string) (result, error) {
	var r result
	file, err := os.Open(path)
	if err != nil {
		return r, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		parts := assertion.FindStringSubmatch(lines.Text())
		switch {
		case strings.HasPrefix(lines.Text(), "1..0 # SKIP"):
			r.skipped = true
		case parts == nil:
		case parts[1] != "":
			r.failed = append(r.failed, cmp.Or(parts[2], "(no name)"))
			fallthrough
		default:
			r.assertions++
		}
	}
	return r, lines.Err()
}
