package serverkit

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/walsender/conformance/internal/rule"
)

// controlFile is pg_control's path.
const controlFile = "global/pg_control"

// timeout is how long a case waits for a server's answers.
const timeout = 30 * time.Second

// baseBackupTimeout is how long a case waits in which the whole cluster may be sent.
const baseBackupTimeout = 5 * time.Minute

// Case is a case that tests servers.
type Case struct {
	rule.Rule
	check func(*conversation)
}

// Run runs the case against the server that config leads to. Where the server kept the rule,
// both results are nil; the excuse says why it could not be tested.
func (c Case) Run(ctx context.Context, config *pgconn.Config) (*rule.Finding, *rule.Excuse) {
	t := c.converse(ctx, config)
	t.compare(c.ID)
	return t.found, t.excused
}

// converse has the case's conversation with the server.
func (c Case) converse(ctx context.Context, config *pgconn.Config) *conversation {
	ctx, cancel := context.WithTimeout(ctx, c.timeout())
	defer cancel()
	t := &conversation{ctx: ctx, config: config}
	defer t.hangUp()
	c.check(t)
	return t
}

func (c Case) timeout() time.Duration {
	if strings.HasPrefix(c.ID, "S-BASEBACKUP/") {
		return baseBackupTimeout
	}
	return timeout
}

// Cases are all cases that test servers, area by area.
func Cases() []Case {
	return slices.Concat(connectCases(), grammarCases(), sessionCases(), backupCases(),
		listCases(), fileCases(), walCases(), otherCases(), digestCases(), descriptorCases(),
		baseBackupCases(), replicationCases(), slotCases())
}
