package walsender

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgproto3"
	"go.uber.org/zap"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/wire"
	"github.com/pgparallel/pgparallel/walsender/internal/impossible"
)

// unavailableOr is refusal, or 57P03 where the cluster takes no sessions now: a probe such as
// pg_isready asks for no replication, and is to learn of the cluster all the same.
func (s *session) unavailableOr(ctx context.Context, refusal error) error {
	err := s.reopen(ctx)
	if err == nil {
		_, err = s.cluster.Settings(ctx)
	}
	if protocol.HasCode(err, protocol.CodeCannotConnectNow) {
		return err
	}
	return refusal
}

// greet says what follows a successful authentication (§1.5), up to ReadyForQuery, with a
// warning in it unless that is nil.
func (s *session) greet(ctx context.Context, m wire.StartupMessage, warning *protocol.Error) error {
	err := s.reopen(ctx)
	var settings protocol.Settings
	if err == nil {
		settings, err = s.cluster.Settings(ctx)
	}
	if err == nil {
		err = impossible.Settings(settings)
	}
	if err = answerable(ctx, err); err != nil {
		if _, told := errors.AsType[*protocol.Error](err); !told {
			s.log.Error("could not read the cluster's settings", zap.Error(err))
		}
		return fmt.Errorf("reading the cluster's settings: %w", err)
	}
	messages := []pgproto3.BackendMessage{&pgproto3.AuthenticationOk{}}
	for _, p := range s.parameters(settings, m) {
		messages = append(messages, &pgproto3.ParameterStatus{Name: p[0], Value: p[1]})
	}
	if primary := s.primaryConnInfo(); primary != "" {
		messages = append(messages, &pgproto3.ParameterStatus{Name: protocol.ParameterPrimaryConnInfo, Value: primary})
	}
	if _, checks := s.cluster.(BackupChecker); checks {
		messages = append(messages, &pgproto3.ParameterStatus{Name: protocol.ParameterCheck, Value: "on"})
	}
	if warning != nil {
		messages = append(messages, wire.NoticeResponse(warning))
	}
	messages = append(messages,
		&pgproto3.BackendKeyData{ProcessID: s.key.processID, SecretKey: s.key.secret[:]},
		&pgproto3.ReadyForQuery{TxStatus: 'I'})
	for _, message := range messages {
		if err := s.out.send(message); err != nil {
			return err
		}
	}
	err = s.out.flush()
	s.out.rest()
	return err
}

// parameters are the session's ParameterStatus messages, in the order in which
// PostgreSQL sends them.
func (s *session) parameters(settings protocol.Settings, m wire.StartupMessage) [][2]string {
	hotStandby, _ := settings.Show("in_hot_standby")
	parameters := [][2]string{
		{"in_hot_standby", hotStandby},
		{"integer_datetimes", "on"},
		{"TimeZone", orDefault(m.Parameters["TimeZone"], "UTC")},
		{"IntervalStyle", "postgres"},
		{"is_superuser", "off"},
		{"application_name", s.application},
		{"default_transaction_read_only", "off"},
		{"standard_conforming_strings", "on"},
		{"DateStyle", orDefault(m.Parameters["DateStyle"], "ISO, MDY")},
		{"session_authorization", s.user},
		{"client_encoding", "UTF8"},
		{"server_version", settings.ServerVersion},
		{"server_encoding", "UTF8"},
	}
	if !s.server.Commands.has(ParallelBackup) {
		return parameters
	}
	return append(parameters,
		[2]string{"parallel_backup_protocol", "1"},
		[2]string{protocol.ParameterWAL, string(s.walAccess())},
		[2]string{protocol.ParameterExtensions, s.extensions()},
	)
}

// extensions is the value of the parameter that announces what the session may use beyond
// version 1 (§8.1). It holds for the whole session.
func (s *session) extensions() string {
	var offered []protocol.Extension
	for _, extension := range []struct {
		name protocol.Extension
		may  func() bool // tells whether this session may use it
	}{
		{protocol.ExtensionDescriptors, s.mayHaveDescriptors},
		{protocol.ExtensionDigests, func() bool { return true }},
		{protocol.ExtensionProgress, func() bool { return true }},
	} {
		if extension.may() {
			offered = append(offered, extension.name)
		}
	}
	return protocol.JoinExtensions(offered...)
}

// walAccess tells how the session can have WAL. Of a cluster that does not run, it stays.
func (s *session) walAccess() protocol.WALAccess {
	running, ok := s.server.Cluster.(RunningCluster)
	if !ok {
		return protocol.WALKept
	}
	access := running.WALAccess()
	if access == protocol.WALStreamed && !s.grant.PassThrough {
		return protocol.WALTransient
	}
	return access
}

// primaryConnInfo tells a session that may stream WAL where it comes from.
func (s *session) primaryConnInfo() string {
	if !s.server.Commands.has(ParallelBackup) || s.walAccess() != protocol.WALStreamed {
		return ""
	}
	return s.server.Cluster.(RunningCluster).PrimaryConnInfo()
}

func orDefault(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}
