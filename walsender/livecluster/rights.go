package livecluster

import (
	"context"
	"strings"

	"github.com/pgparallel/pgparallel/protocol"
)

// dialect is how a version of PostgreSQL starts and stops a backup.
type dialect struct {
	startFunction, stopFunction string // with the types of their arguments
	start                       string // SQL up to the arguments label and fast
	startEnd                    string // what follows them
	stop                        string // SQL up to the argument wait_for_archive
}

func dialectOf(versionNum int) dialect {
	if versionNum >= 150000 {
		return dialect{
			startFunction: "pg_backup_start(text, boolean)",
			stopFunction:  "pg_backup_stop(boolean)",
			start:         "SELECT pg_backup_start(",
			startEnd:      ")",
			stop:          "SELECT lsn, labelfile FROM pg_backup_stop(",
		}
	}
	return dialect{
		startFunction: "pg_start_backup(text, boolean, boolean)",
		stopFunction:  "pg_stop_backup(boolean, boolean)",
		start:         "SELECT pg_start_backup(",
		startEnd:      ", false)", // not exclusive
		stop:          "SELECT lsn, labelfile FROM pg_stop_backup(false, ",
	}
}

func (d dialect) startSQL(label string, fast bool) string {
	return d.start + literal(label) + ", " + boolean(fast) + d.startEnd
}

func (d dialect) stopSQL(wait bool) string { return d.stop + boolean(wait) + ")" }

func boolean(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

// checkRights makes sure that the role may start and stop a backup.
func (s *sqlSession) checkRights(ctx context.Context, d dialect) error {
	var denied []string
	for _, function := range []string{d.startFunction, d.stopFunction} {
		row, err := s.row(ctx, "SELECT has_function_privilege("+literal(function)+", 'EXECUTE')")
		if err != nil {
			return err
		}
		if row[0] != "t" {
			denied = append(denied, function)
		}
	}
	if len(denied) == 0 {
		return nil
	}
	functions := strings.Join(denied, ", ")
	return missing("EXECUTE on "+functions, "GRANT EXECUTE ON FUNCTION "+functions+" TO "+s.role(ctx))
}

// missing tells of a right that the role lacks, and what mends it.
func missing(right, mend string) error {
	return protocol.Errorf(protocol.CodeInsufficientPrivilege, "the role lacks %s", right).WithHint("As a superuser: %s;", mend)
}
