package walsender_test

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/longtest"
	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// refusals has what every major version of PostgreSQL answers to wrong commands.
const refusals = "testdata/basebackup/refusals.txt"

// refusal is a command that PostgreSQL refuses, and its answer by major version.
type refusal struct {
	command string
	answers map[int]string // SQLSTATE and message
}

func readRefusals(t *testing.T) []refusal {
	t.Helper()
	text, err := os.ReadFile(refusals)
	must(t, err)
	var list []refusal
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "" || line[0] == '#':
		case !strings.HasPrefix(line, "  "):
			list = append(list, refusal{line, map[int]string{}})
		default:
			majors, answer, _ := strings.Cut(line[2:], ": ")
			for _, text := range strings.Fields(majors) {
				major, err := strconv.Atoi(text)
				must(t, err)
				list[len(list)-1].answers[major] = answer
			}
		}
	}
	return list
}

// TestBaseBackup_9_1_Refusals has our server refuse in PostgreSQL's words of each major
// version.
func TestBaseBackup_9_1_Refusals(t *testing.T) {
	for _, major := range postgres.Majors() {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			cluster := newMemCluster()
			cluster.major = major
			c := connect(t, serve(t, &walsender.Server{Cluster: cluster}), "backup")
			for _, r := range readRefusals(t) {
				if want, refused := r.answers[major]; refused {
					if diff := cmp.Diff([]string{"ErrorResponse ERROR " + want, ready}, c.query(r.command)); diff != "" {
						t.Errorf("%s (-PostgreSQL +ours):\n%s", r.command, diff)
					}
				}
			}
		})
	}
}

// TestBaseBackup_9_1_RefusalsOfPostgreSQL_Long holds the file against PostgreSQL: 13, 15, 18
// and 19, which have all answers between them, or with PGPARALLEL_LONG=all every major.
func TestBaseBackup_9_1_RefusalsOfPostgreSQL_Long(t *testing.T) {
	longtest.Mark(t)
	majors := []int{13, 15, 18, 19}
	if longtest.Whole() {
		majors = postgres.Majors()
	}
	for _, major := range majors {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			p := postgres.RequireMajor(t, major)
			server := p.NewCluster(t, postgres.InitOptions{})
			must(t, server.Start(t.Context()))
			conn, err := net.Dial("unix", fmt.Sprintf("%s/.s.PGSQL.%d", server.SocketDir, server.Port))
			must(t, err)
			c := newRawClient(t, conn)
			c.startup(map[string]string{"user": "postgres", "replication": "true"})
			for _, r := range readRefusals(t) {
				want, refused := r.answers[major]
				if !refused {
					continue
				}
				if got := c.query(r.command)[0]; got != "ErrorResponse ERROR "+want {
					t.Errorf("%s: PostgreSQL answers %s, the file has %s", r.command, got, want)
				}
			}
		})
	}
}
