package walsender

import (
	"errors"
	"fmt"
	"net"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/sharedstate"
	"github.com/pgparallel/pgparallel/walsender/internal/passthrough"
	"github.com/pgparallel/pgparallel/walsender/internal/peer"
)

// errLeaderLeft is why a backup ends whose leader says goodbye without STOP_BACKUP.
var errLeaderLeft = errors.New("its leader left without STOP_BACKUP")

// BackupEnd is what became of a backup ([Server.BackupEnded]).
type BackupEnd struct {
	// Status has the backup's counters, as they are at the end. WAL that is fetched after
	// STOP_BACKUP is not among them. Its ID is cut: nobody joins the backup any more.
	sharedstate.Status
	Duration time.Duration // from START_BACKUP on
	// Err is why the backup was aborted; nil: STOP_BACKUP has succeeded, though pages may
	// be damaged (Counters.ChecksumFailures).
	Err error
}

// SessionEnd is what became of a session ([Server.SessionEnded]).
type SessionEnd struct {
	Caller
	BytesSent int64         // everything that was said to the peer
	Duration  time.Duration // from the connection on
	Throttled time.Duration // slept for the sake of a backup's rate
	// Err is why the session ended; nil: the peer said goodbye.
	Err error
}

// backupEnded tells of the end of a backup: in one line of the log, and by the hook.
func (s *session) backupEnded(b *sharedstate.Backup, why error) {
	e := BackupEnd{Status: b.Status(), Duration: time.Since(b.Began), Err: why}
	fields := []zap.Field{
		zap.String("backup", e.ID), zap.String("label", protocol.Shorten(e.Label, 64)),
		zap.Int64("files", e.FilesSent), zap.Int64("bytes", e.BytesSent), zap.Duration("duration", e.Duration.Round(time.Millisecond)),
		zap.String("rate", rate(e.BytesSent, e.Duration)), zap.Duration("throttled", e.Throttled.Round(time.Millisecond)), zap.Int64("sessions", 1+e.SessionsJoined), zap.Int64("checksum_failures", e.ChecksumFailures),
	}
	switch {
	case why != nil:
		s.log.Warn("backup failed", append(fields, zap.NamedError("reason", withoutAddress(why)))...)
	case e.ChecksumFailures > 0:
		s.log.Warn("backup completed, with damaged pages", fields...)
	default:
		s.log.Info("backup completed", fields...)
	}
	if s.server.BackupEnded != nil {
		s.server.BackupEnded(e)
	}
}

// rate is how fast so many bytes were sent, in MB of 1024 kB as everywhere.
func rate(bytes int64, took time.Duration) string {
	return fmt.Sprintf("%.1f MB/s", float64(bytes)/(1<<20)/max(took.Seconds(), 0.001))
}

// sessionEnded tells of the end of a session. One that was not admitted is in the log
// alone, and a client that was turned away is a warning, unless the log has one of it.
func (s *session) sessionEnded(err error) {
	took := time.Since(s.start)
	fields := []zap.Field{zap.Duration("duration", took.Round(time.Millisecond))}
	admitted := s.end != nil
	if !admitted && s.user != "" {
		fields = append(fields, zap.String("user", protocol.Shorten(s.user, 64)))
	}
	switch {
	case err == nil:
	case errors.Is(err, peer.ErrGone), errors.Is(err, passthrough.ErrEnded):
		// Many clients end so, pg_basebackup for one; what a backup lost by it, the backup's line says.
		fields = append(fields, zap.String("reason", "client closed the connection"))
	default:
		fields = append(fields, zap.NamedError("reason", withoutAddress(err)))
	}
	shutdown := protocol.HasCode(err, protocol.CodeAdminShutdown)
	turnedAway := !admitted && s.user != "" && wireError(err) != nil && !s.startup.refused && !shutdown
	if turnedAway || protocol.HasCode(err, protocol.CodeTooManyConnections) {
		s.log.Warn("session refused", fields...)
		return
	}
	if !admitted {
		s.log.Debug("session ended", fields...)
		return
	}
	e := SessionEnd{Caller: s.caller(), BytesSent: s.out.bytesSaid(), Duration: took, Throttled: s.slept, Err: err}
	s.log.Debug("session ended", append(fields, zap.Int64("bytes", e.BytesSent),
		zap.String("rate", rate(e.BytesSent, e.Duration)), zap.Duration("throttled", e.Throttled.Round(time.Millisecond)))...)
	if s.server.SessionEnded != nil {
		s.server.SessionEnded(e)
	}
}

// withoutAddress is an error whose text has no path of a socket in it.
func withoutAddress(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		if isLost(err) {
			return lostError{op.Err}
		}
		return op.Err
	}
	return err
}

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
