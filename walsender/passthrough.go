package walsender

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"go.uber.org/zap"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
)

// cancelTime bounds how long a CancelRequest that is passed on may take.
const cancelTime = 5 * time.Second

// passedText is the text of a query for PostgreSQL's own walsender; false: the query is
// for this server. The commands of a parallel backup are for this server, however wrongly
// the client has written them.
func (s *session) passedText(text string, command grammar.Command, err error) (string, bool) {
	if _, ok := s.server.Cluster.(PassThrough); !ok || !s.grant.PassThrough {
		return "", false
	}
	syntax, wrong := errors.AsType[*protocol.Error](err)
	switch {
	case wrong:
		unknown := syntax.Code == protocol.CodeFeatureNotSupported
		return text, unknown || !syntax.Fatal() && isReplication(grammar.Verb(text))
	case err != nil || command == nil || !isReplication(grammar.Verb(text)), s.isCheck(command):
		return "", false
	case strings.HasPrefix(strings.TrimSpace(text), grammar.Verb(text)):
		return text, true
	}
	// PostgreSQL knows its commands in upper case only.
	return command.String(), true
}

// isFull reports whether PostgreSQL has no walsender free.
func isFull(err error) bool {
	return protocol.HasCode(err, protocol.CodeTooManyConnections)
}

// answersAlone reports whether this server's own answer to the command is the same as
// PostgreSQL's.
func answersAlone(text string) bool {
	command, _ := grammar.Parse(text) // nil where it is none
	switch c := command.(type) {
	case grammar.IdentifySystem, grammar.TimelineHistory:
		return true
	case grammar.Show:
		_, known := protocol.Settings{}.Show(c.Name)
		return known
	}
	return false
}

// leavesState reports whether PostgreSQL keeps something for the connection when the
// command is done: a temporary slot, the manifest of an earlier backup, or what a later
// version may think of.
func leavesState(text string) bool {
	switch grammar.Verb(text) {
	case "IDENTIFY_SYSTEM", "SHOW", "TIMELINE_HISTORY", "BASE_BACKUP", "START_REPLICATION",
		"READ_REPLICATION_SLOT", "DROP_REPLICATION_SLOT":
		return false
	case "CREATE_REPLICATION_SLOT":
		l := optionLexer{rest: text}
		l.next()
		l.next() // the slot's name
		option, _ := l.next()
		return option.kind == 'w' && option.value == "TEMPORARY"
	}
	return true
}

// passThrough hands a command to PostgreSQL's own walsender, and the answer to the peer,
// message by message. With done false nothing was sent: PostgreSQL has no walsender, or
// none is free and this server has the same answer. The error ends the session.
func (s *session) passThrough(ctx context.Context, text string) (done bool, err error) {
	began, sent := time.Now(), s.out.bytesSaid()
	defer s.hurryAfter(ctx)()
	// The answers to what came before do not wait for the cluster.
	if err := s.out.flush(); err != nil {
		return true, err
	}
	if err = checkTarget(text); err == nil {
		err = s.checkLogical(text)
	}
	if err == nil {
		err = s.openUpstream(ctx)
	}
	if errors.Is(err, errors.ErrUnsupported) || isFull(err) && answersAlone(text) {
		return false, nil
	}
	var code string
	if err == nil {
		code, err = s.relayCommand(ctx, text)
	} else {
		err = s.answer(answerable(ctx, err))
	}
	s.logPassed(text, began, s.out.bytesSaid()-sent, code, err)
	return true, err
}

// logPassed writes the log line of a command that was passed through. The line has the
// command's verb only: the rest of the text may hold a secret.
func (s *session) logPassed(text string, began time.Time, bytes int64, code string, err error) {
	fields := []zap.Field{
		zap.String("command", protocol.Shorten(grammar.Verb(text), 64)), zap.Bool("passed", true),
		zap.Int64("bytes", bytes), zap.Duration("duration", time.Since(began)),
	}
	if code != "" {
		fields = append(fields, zap.String("sqlstate", code))
	}
	if err != nil {
		fields = append(fields, zap.Error(err))
	}
	level := zap.InfoLevel
	if code == "" && err == nil {
		level = zap.DebugLevel
	}
	s.log.Log(level, "command", fields...)
}

// relayCommand sends the command and passes the answer on. code is the SQLSTATE of the
// answer, if the answer is an error. err ends the session.
func (s *session) relayCommand(ctx context.Context, text string) (code string, err error) {
	u := s.upstream
	var cancels sync.WaitGroup
	s.setRunning(func(error) {
		cancels.Go(func() { // ends within cancelTime
			limited, release := context.WithTimeout(ctx, cancelTime)
			defer release()
			_ = u.Cancel(limited) // as lost as any CancelRequest can be
		})
	})
	// A late CancelRequest must not cancel the next command.
	defer cancels.Wait()
	defer s.setRunning(nil)
	defer context.AfterFunc(ctx, func() { _ = u.SetDeadline(time.Unix(1, 0)) })()

	if grammar.Verb(text) == "BASE_BACKUP" {
		defer s.awaitReader()()
	}
	query, err := (&pgproto3.Query{String: text}).Encode(nil)
	if err != nil {
		return "", err
	}
	if _, err := u.Write(query); err != nil && ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	// Where the write has failed, the read below tells why.
	r := relay{session: s, upstream: u}
	if err := r.run(ctx); err != nil {
		if ctx.Err() != nil {
			u.abandon()
		}
		return r.code, err
	}
	u.holds = u.holds || r.code == "" && leavesState(text)
	u.watch(s.end)
	return r.code, nil
}
