package serverkit

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/walsender/conformance/internal/rule"
)

// controlFile is pg_control's path.
const controlFile = "global/pg_control"

// timeout is how long a case waits for a server's answers.
const timeout = 30 * time.Second

// Case is a case that tests servers.
type Case struct {
	rule.Rule
	check func(*conversation)
}

// Run runs the case against the server that config leads to. The result is nil if the
// server kept the rule.
func (c Case) Run(ctx context.Context, config *pgconn.Config) *rule.Finding {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	t := &conversation{ctx: ctx, config: config}
	defer t.hangUp()
	c.check(t)
	return t.found
}

// Cases are all cases that test servers, area by area.
func Cases() []Case {
	return slices.Concat(connectCases(), grammarCases(), sessionCases(), backupCases(),
		listCases(), fileCases(), walCases(), otherCases(), descriptorCases())
}
