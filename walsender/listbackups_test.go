package walsender_test

import (
	"strings"
	"testing"

	"github.com/pgparallel/pgparallel/walsender"
)

// rowsOf counts the rows of an answer.
func rowsOf(answer []string) (n int) {
	for _, line := range answer {
		if strings.HasPrefix(line, "DataRow (") {
			n++
		}
	}
	return n
}

// A role is told of its own backups, an operator of all; the whole id is told to nobody.
func TestListBackups_8_2(t *testing.T) {
	addr := serve(t, &walsender.Server{Cluster: newMemCluster(), MaxWALSenders: 3, Authenticator: monitored})
	leader, stranger, worker := connect(t, addr, "backup"), connect(t, addr, "stranger"), connect(t, addr, "backup")
	operator := connect(t, addr, "operator") // from a reserved place: the others are taken
	id := value(t, leader.query("START_BACKUP LABEL 'nightly' MAX_RATE 1000"), 3)
	worker.query("JOIN_BACKUP '" + id + "'")

	for _, c := range []*rawClient{leader, worker, operator} {
		answer := c.query("LIST_BACKUPS")
		if strings.Contains(strings.Join(answer, ""), id) {
			t.Errorf("the id is told: %q", answer)
		}
		for n, want := range map[int]string{0: id[:8], 1: "backup", 2: "running", 9: "2", 10: "1000", 13: "nightly"} {
			if got := value(t, answer, n); got != want {
				t.Errorf("column %d is %q, want %q", n, got, want)
			}
		}
	}
	if got := stranger.query("LIST_BACKUPS"); rowsOf(got) != 0 {
		t.Errorf("another role is told %q", got)
	}

	const unknown = "ErrorResponse ERROR 42704 backup "
	alter := "ALTER_BACKUP '" + id[:8] + "' MAX_RATE 64"
	wantAnswer(t, stranger.query(alter), unknown+`"`+id[:8]+`" does not exist`, ready)
	wantAnswer(t, operator.query(alter), "CommandComplete ALTER_BACKUP", ready)
	if got := leader.message(); got != "ParameterStatus parallel_backup_max_rate=64" { // it did not ask
		t.Errorf("the leader is told %q", got)
	}
	if got := value(t, leader.query("LIST_BACKUPS"), 10); got != "64" {
		t.Errorf("the rate is %s, want 64", got)
	}
	wantAnswer(t, leader.query("ALTER_BACKUP MAX_RATE 0"), "CommandComplete ALTER_BACKUP", "ParameterStatus parallel_backup_max_rate=0", ready)
	if got := value(t, operator.query("LIST_BACKUPS"), 10); got != "NULL" {
		t.Errorf("the rate is %s, want none", got)
	}
	leader.query("STOP_BACKUP")
	if got := operator.query("LIST_BACKUPS"); rowsOf(got) != 0 {
		t.Errorf("after the end %q", got)
	}
}
