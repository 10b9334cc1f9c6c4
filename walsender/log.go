package walsender

import (
	"errors"
	"net"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
)

// defaultLogger is the log of a server that was given none: what an operator must see.
func defaultLogger() *zap.Logger {
	config := zap.NewProductionConfig()
	config.Level = zap.NewAtomicLevelAt(zap.WarnLevel)
	config.Sampling = nil // it would drop lines of which many are alike
	log, err := config.Build()
	if err != nil { // standard error cannot be opened
		return zap.NewNop()
	}
	return log
}

// logCommand writes the line of a command: what it was, how it ended, how many
// bytes the answer had and how long it took.
func (s *session) logCommand(command grammar.Command, began time.Time, bytes int64, err error) {
	level := commandLevel(err)
	entry := s.log.Check(level, "command")
	if entry == nil {
		return
	}
	fields := append(commandFields(command), zap.Int64("bytes", bytes), zap.Duration("duration", time.Since(began)))
	if last := s.member.last; last != nil {
		fields = append(fields, zap.String("backup", protocol.ShortID(last.ID)))
	}
	if wire := wireError(err); wire != nil {
		fields = append(fields, zap.String("sqlstate", wire.Code))
	}
	// What cannot be parsed is not quoted: it may hold an id.
	if err != nil && command != nil {
		fields = append(fields, zap.Error(err))
	}
	entry.Write(fields...)
}

// commandLevel keeps commands that succeed off the normal log, which has one line a
// backup, and puts the server's own failures where they are seen.
func commandLevel(err error) zapcore.Level {
	if _, told := errors.AsType[toldError](err); told {
		return zap.DebugLevel
	}
	if err != nil {
		_, meant := errors.AsType[*protocol.Error](err)
		if told := wireError(err); !meant && told != nil && told.Code == protocol.CodeInternalError {
			return zap.ErrorLevel
		}
		return zap.InfoLevel
	}
	return zap.DebugLevel
}

// commandFields are the command's name and what it was about. Ids are secrets and
// stay out: the line has the backup's, cut.
func commandFields(command grammar.Command) []zap.Field {
	switch c := command.(type) {
	case nil:
		return []zap.Field{zap.String("command", "none")}
	case grammar.JoinBackup:
		return []zap.Field{zap.String("command", "JOIN_BACKUP"), zap.String("asked", protocol.ShortID(c.ID))}
	default:
		return []zap.Field{zap.String("command", protocol.Shorten(c.String(), 512))}
	}
}

// remoteName is the peer in the log, as PostgreSQL's log_connections has it.
func remoteName(addr net.Addr) string {
	if addr.Network() == "unix" {
		return "[local]"
	}
	return addr.String()
}
