package livecluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/controlfile"
	"github.com/pgparallel/pgparallel/walsender/datadir"
)

// Cluster is a running cluster: a walsender.Cluster with all of the optional
// interfaces. Its methods may be called from many goroutines.
//
// It stays with the directory that was opened when another takes its place under the
// path; [Cluster.Reopen] opens that one.
type Cluster struct {
	*datadir.Dir
	*source
}

// source is what the clusters share that are opened under one path, one after the
// other.
type source struct {
	path string
	log  *zap.Logger
	sql  []*pgconn.Config // see resolve
	pass *passThrough     // nil: nothing is passed through

	authQuery string
	asking    chan struct{} // holds one while LookupPassword asks

	authServers []*pgconn.Config // where AuthenticatePeer has peers verified
	verifying   chan struct{}    // holds one for each of them

	probing chan struct{} // holds one while current asks

	mu      sync.Mutex
	closed  bool
	running map[*backup]struct{} // what Close has to abort
	server  server               // as it was when last asked
}

// Open opens the data directory, connects to its server and makes sure that the two
// belong together, that the role may take backups, and that commands can be passed
// through. The caller closes the cluster.
//
// The error is one line that says what to do: a directory that [datadir.OpenDir]
// refuses; a connection string that cannot be read, or does not connect; a
// connection pooler; a server that runs on another directory, if only on a copy of
// this one; a missing right, with the GRANT that gives it; a superuser for the
// pass-through that [Config.PassThroughSuperuser] does not name.
func Open(ctx context.Context, dir string, config Config) (*Cluster, error) {
	c, err := newCluster(dir, config)
	if err != nil {
		return nil, err
	}
	if err := c.check(ctx, config); err != nil {
		_ = c.Dir.Close()
		return nil, startError(err)
	}
	return c, nil
}

func newCluster(dir string, config Config) (*Cluster, error) {
	log := config.Logger
	if log == nil {
		log = zap.NewNop()
	}
	sql, err := resolve("--cluster", config.ConnString, false, log)
	if err != nil {
		return nil, err
	}
	d, err := datadir.OpenDir(dir, datadir.DirOptions{NewestMajor: config.NewestMajor, DropCache: config.DropCache})
	if err != nil {
		return nil, err
	}
	d.RecoveryOnRestore = true
	return &Cluster{d, &source{
		path: dir, log: log, sql: sql, running: make(map[*backup]struct{}),
		authQuery: config.AuthQuery, asking: make(chan struct{}, 1), verifying: make(chan struct{}, authPlaces), probing: make(chan struct{}, 1),
	}}, nil
}

// check asks the server everything that a backup will need.
func (c *Cluster) check(ctx context.Context, config Config) error {
	if _, err := c.readPostmaster(); err != nil {
		return err
	}
	s, found, err := c.connect(ctx)
	if err != nil {
		return hinted(err, connectHint(err, c.sql[0], quoteIdentifier(c.sql[0].Database)))
	}
	defer s.close()
	if err := s.checkRights(ctx, dialectOf(found.versionNum)); err != nil {
		return err
	}
	if c.authQuery != "" {
		if _, _, err := s.lookupPassword(ctx, c.authQuery, ""); err != nil {
			return err
		}
	}
	return c.setPassThrough(ctx, config, found)
}

// ErrUnavailable is wrapped by an error of [Open] that waiting may mend: no server runs on
// the data directory, it cannot be reached, or it takes no connections yet.
var ErrUnavailable = errors.New("the server is not available")

// startError is an error of Open: one line, the hint included.
func startError(err error) error {
	if isUnavailable(err) {
		return lineError{startLine(err).Error(), ErrUnavailable}
	}
	return startLine(err)
}

func startLine(err error) error {
	told, ok := errors.AsType[*protocol.Error](err)
	switch {
	case !ok:
		return err
	case told.Code == protocol.CodeCannotConnectNow:
		return fmt.Errorf("%s; start the server, or leave --cluster out to back up a stopped cluster", told.Message)
	case told.Hint == "":
		return errors.New(told.Message)
	}
	return fmt.Errorf("%s; %s", told.Message, withinLine(told.Hint))
}

// withinLine is a hint, which is a sentence, as the part of a line.
func withinLine(hint string) string {
	first, size := utf8.DecodeRuneInString(hint)
	return string(unicode.ToLower(first)) + strings.TrimSuffix(hint[size:], ".")
}

// connect opens an SQL session with the server of the data directory. The caller
// closes it.
func (c *Cluster) connect(ctx context.Context) (*sqlSession, server, error) {
	s, err := openSQL(ctx, c.sql)
	if err != nil {
		return nil, server{}, err
	}
	found, err := c.identify(ctx, s)
	if err != nil {
		s.close()
		return nil, server{}, err
	}
	c.mu.Lock()
	c.server = found
	c.mu.Unlock()
	return s, found, nil
}

// known is what the server said when it was last asked, if the same server still runs;
// else the zero server.
func (c *Cluster) known() (server, error) {
	now, err := c.readPostmaster()
	if err != nil {
		return server{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server.directory != c.Directory() || c.server.postmaster != now {
		return server{}, nil
	}
	return c.server, nil
}

// trustedFor is how long a server is taken to be there after its last answer. The sessions of
// a backup come all at once: one question answers for all.
const trustedFor = time.Second

// current is the server that runs now. It may have been restarted, as another minor version
// perhaps, or be gone: postmaster.pid outlives a server that was killed. Where it answers
// that it takes no further connections it is there.
func (c *Cluster) current(ctx context.Context) (server, error) {
	select {
	case c.probing <- struct{}{}:
		defer func() { <-c.probing }()
	case <-ctx.Done():
		return server{}, context.Cause(ctx)
	}
	known, err := c.known()
	if err != nil || known.versionNum != 0 && time.Since(known.asked) < trustedFor {
		return known, err
	}
	s, found, err := c.connect(ctx)
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && known.versionNum != 0 && refused.Code != protocol.CodeCannotConnectNow {
		return known, nil
	}
	if err != nil {
		return server{}, err
	}
	s.close()
	return found, nil
}

// MaxWALSenders is max_wal_senders of the server, as it was last asked.
func (c *Cluster) MaxWALSenders() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.server.senders
}

// Reopen is the cluster in the directory that the path leads to now, as by
// [datadir.Dir.Reopen] (walsender.Reopener). A backup that began before stays with the
// cluster that it began with.
func (c *Cluster) Reopen(context.Context) (cluster any, release func(), err error) {
	d, release, err := c.Dir.Reopen()
	if err != nil {
		return nil, nil, err
	}
	return &Cluster{d, c.source}, release, nil
}

// Close aborts the backups that still run and releases the data directory.
func (c *Cluster) Close() error {
	c.mu.Lock()
	c.closed = true
	running := slices.Collect(maps.Keys(c.running))
	c.mu.Unlock()
	for _, b := range running {
		b.Abort()
	}
	return c.Dir.Close()
}

// Settings tells what the data directory says, with the version of the server that
// runs. 57P03 says that none does, or that it takes no connections now.
func (c *Cluster) Settings(ctx context.Context) (protocol.Settings, error) {
	settings, err := c.Dir.Settings(ctx)
	if err != nil {
		return settings, err
	}
	now, err := c.current(ctx)
	if err != nil {
		return settings, c.answer(ctx, err)
	}
	settings.ServerVersion, settings.ServerVersionNum = now.version, now.versionNum
	return settings, nil
}

// InRecovery reports whether the server is a standby now. It reads pg_control, whose
// state changes together with pg_is_in_recovery(): that is cheap enough for every file.
func (c *Cluster) InRecovery(ctx context.Context) (bool, error) {
	control, err := c.Control(ctx)
	return control.State == controlfile.StateInArchiveRecovery || control.State == controlfile.StateShutDownInRecovery, err
}

// Identify tells the system identifier, and the timeline and the position up to which
// the server's WAL is flushed. It is asked where nothing is passed through.
func (c *Cluster) Identify(ctx context.Context) (protocol.System, error) {
	system, err := c.flushed(ctx)
	return system, c.answer(ctx, err)
}

func (c *Cluster) flushed(ctx context.Context) (protocol.System, error) {
	s, found, err := c.connect(ctx)
	if err != nil {
		return protocol.System{}, err
	}
	defer s.close()
	lsn, err := s.flushed(ctx, found)
	if err != nil {
		return protocol.System{}, err
	}
	timeline, err := c.TimelineAt(ctx, lsn)
	return protocol.System{SystemID: found.systemID, Timeline: timeline, XLogPos: lsn}, err
}

// flushed is up to where the server's WAL is on disk.
func (s *sqlSession) flushed(ctx context.Context, found server) (protocol.LSN, error) {
	position := "pg_current_wal_flush_lsn()"
	if found.inRecovery {
		position = "greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())"
	}
	row, err := s.row(ctx, "SELECT "+position)
	if err != nil {
		return 0, err
	}
	return protocol.ParseLSN(row[0])
}
