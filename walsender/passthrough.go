package walsender

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender/internal/passthrough"
)

// passedText is the text of a query for PostgreSQL's own walsender; false: the query is
// for this server. The commands of a parallel backup are for this server, however wrongly
// the client has written them.
func (s *session) passedText(text string, command grammar.Command, err error) (string, bool) {
	if _, ok := s.server.Cluster.(PassThrough); !ok || !s.grant.PassThrough || isOneOfMany(command) {
		return "", false
	}
	syntax, wrong := errors.AsType[*protocol.Error](err)
	switch {
	case wrong:
		unknown := syntax.Code == protocol.CodeFeatureNotSupported
		return text, unknown || !syntax.Fatal() && passthrough.IsReplication(text)
	case err != nil || command == nil || !passthrough.IsReplication(text), s.isCheck(command):
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
	if err = passthrough.Check(text, s.asked["replication"] == "database"); err == nil {
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

// openUpstream makes the connection before the first command that needs one, and again
// where the last connection has ended while it was idle.
func (s *session) openUpstream(ctx context.Context) error {
	if s.upstream != nil && s.upstream.Resume() == nil {
		return nil
	}
	if err := s.refresh(ctx); err != nil {
		return err
	}
	s.upstream = nil
	conn, err := s.cluster.(PassThrough).DialWALSender(ctx, s.asked)
	if err != nil {
		return err
	}
	s.upstream = passthrough.New(conn, conn.Cancel, passthrough.Client{In: s.in, Out: s.out, Flush: s.out.flush, End: s.end})
	return nil
}

// closeUpstream ends the connection, if there is one.
func (s *session) closeUpstream() {
	if s.upstream != nil {
		s.upstream.Close()
	}
}

// relayCommand runs the command there, so that a CancelRequest to this server reaches it.
func (s *session) relayCommand(ctx context.Context, text string) (code string, err error) {
	var cancels sync.WaitGroup
	s.setRunning(func(error) {
		cancels.Go(func() { s.upstream.Cancel(ctx) }) // ends within seconds
	})
	// A late CancelRequest must not cancel the next command.
	defer cancels.Wait()
	defer s.setRunning(nil)
	if grammar.Verb(text) == "BASE_BACKUP" {
		defer s.awaitReader()()
	}
	return s.upstream.Run(ctx, text)
}
