package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/client/internal/wire"
	"github.com/pgparallel/pgparallel/grammar"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/page"
)

// cluster is what the server says about the cluster that it backs up.
type cluster struct {
	directoryMode fs.FileMode
	segmentSize   int64
	versionNum    int
	system        protocol.System
	verifiesPages bool // pages that this client copies by descriptors have checksums, and are verified
}

func (b *backup) newDialer() (*wire.Dialer, error) {
	return wire.NewDialer(wire.Config{Info: b.ConnInfo, ConnConfig: b.ConnConfig, Timeout: b.Timeout, Notice: b.events.notice})
}

// connect opens the first connection. The others follow when it is known what for, and
// ahead of the checkpoint: one too many must be known before it.
func (b *backup) connect(ctx context.Context) error {
	var err error
	if b.leader, err = b.dialer.First(ctx); err != nil {
		return err
	}
	if b.leader.Parameters["parallel_backup_protocol"] == "" {
		if _, err := b.askTablespaces(); err != nil {
			return notParallel(err)
		}
	}
	return nil
}

// notParallel names the server where err shows that it is another kind of server
// than this client needs.
func notParallel(err error) error {
	e, ok := errors.AsType[*protocol.Error](err)
	if !ok {
		return err
	}
	switch e.Code {
	case protocol.CodeFeatureNotSupported, protocol.CodeSyntaxError, protocol.CodeInternalError: // the last is PostgreSQL 13's
		unsupported := protocol.Errorf(protocol.CodeFeatureNotSupported, "server does not support parallel base backups").
			WithHint("Use pg_basebackup with this server, or connect to \"pgparallel serve\" (its default port is 5433).")
		unsupported.Detail = "The server says: " + e.Message
		return unsupported
	}
	return err
}

// identify asks for what must be known of the cluster.
func (b *backup) identify(context.Context) error {
	mode, err := b.show("data_directory_mode")
	if err != nil {
		return err
	}
	if b.cluster.directoryMode, err = protocol.ParseDataDirectoryMode(mode); err != nil {
		return err
	}
	size, err := b.show("wal_segment_size")
	if err != nil {
		return err
	}
	if b.cluster.segmentSize, err = protocol.ParseWALSegmentSize(size); err != nil {
		return err
	}
	version, err := b.show("server_version_num")
	if err != nil {
		return err
	}
	if b.cluster.versionNum, err = strconv.Atoi(version); err != nil {
		return fmt.Errorf("unexpected server_version_num %q", protocol.Shorten(version, 64))
	}
	if b.cluster.system, err = wire.Row(b.leader, grammar.IdentifySystem{}.String(), protocol.DecodeSystem); err != nil {
		return fmt.Errorf("could not identify system: %w", err)
	}
	return b.askChecksums()
}

// askChecksums asks whether pages that the client copies by itself have checksums that it
// knows (§8.4). Where they have not, the server verifies none either.
func (b *backup) askChecksums() error {
	if b.NoVerifyChecksums || !b.leader.TakesDescriptors() || !page.Readable() {
		return nil
	}
	checksums, err := b.show("data_checksums")
	if err != nil {
		return err
	}
	size, err := b.show("block_size")
	if err != nil {
		return err
	}
	b.cluster.verifiesPages = checksums == "on" && size == strconv.Itoa(page.Size)
	return nil
}

// show asks for a setting.
func (b *backup) show(name string) (string, error) {
	value, err := wire.Row(b.leader, grammar.Show{Name: name}.String(), func(r protocol.Row) (string, error) {
		if len(r) != 1 {
			return "", fmt.Errorf("result has %d columns, expected 1", len(r))
		}
		return string(r[0]), nil
	})
	if err != nil {
		err = fmt.Errorf("could not determine server setting for %s: %w", name, err)
	}
	return value, err
}

// askTablespaces asks for the tablespaces, the data directory left out. Their sizes, for which
// the server would walk through all directories, come with the list of the files.
func (b *backup) askTablespaces() ([]protocol.Tablespace, error) {
	var list []protocol.Tablespace
	seen := map[uint32]bool{}
	memory := listingMemory()
	err := b.leader.Rows(grammar.ListTablespaces{}.String(), func(row protocol.Row) error {
		t, err := protocol.DecodeTablespace(row)
		if err != nil {
			return err
		}
		if seen[t.OID] {
			return fmt.Errorf("tablespace %d is listed more than once", t.OID)
		}
		seen[t.OID] = true
		if memory -= rowMemory + int64(len(t.Location)); memory < 0 {
			return fmt.Errorf("more than there is memory for: %d so far", len(list))
		}
		if t.OID != 0 {
			list = append(list, t)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("could not list tablespaces: %w", err)
	}
	return list, nil
}

func (b *backup) listTablespaces(context.Context) error {
	var err error
	if b.tablespaces, err = b.askTablespaces(); err != nil {
		return err
	}
	for from := range b.TablespaceMap {
		if !slices.ContainsFunc(b.tablespaces, func(t protocol.Tablespace) bool { return filepath.Clean(t.Location) == from }) {
			b.events.tell(LevelWarning, "tablespace mapping for %q is of no use: the cluster has no tablespace there", from)
		}
	}
	return nil
}

// createTarget claims all directories, so that what is wrong with one of them is known
// before the checkpoint.
func (b *backup) createTarget(ctx context.Context) error {
	if err := b.checkEarlier(); err != nil {
		return err
	}
	if _, err := b.locate(); err != nil {
		return err
	}
	b.claimed = true
	return b.out.Claim(ctx, output.Cluster{SystemID: b.cluster.system.SystemID, DirectoryMode: b.cluster.directoryMode}, foldersPerWorker(maxOpenFiles(), b.Jobs, len(b.tablespaces)))
}

// locate finds out where the data directory and the tablespaces go, by OID.
func (b *backup) locate() (map[uint32]output.Target, error) {
	var spaces []output.Tablespace
	for _, t := range b.tablespaces {
		if t.InPlace() {
			continue
		}
		location, mapped, err := b.locationOf(t)
		if err != nil {
			return nil, err
		}
		spaces = append(spaces, output.Tablespace{OID: t.OID, Location: location, Mapped: mapped, Source: filepath.Clean(t.Location)})
	}
	return b.out.Locate(spaces)
}

// locationOf is where a tablespace goes, and whether the user has said so.
func (b *backup) locationOf(t protocol.Tablespace) (location string, mapped bool, err error) {
	location = filepath.Clean(t.Location)
	if !filepath.IsAbs(location) {
		return "", false, fmt.Errorf("location of tablespace %d is not an absolute path: %q", t.OID, protocol.Shorten(t.Location, 256))
	}
	if to, mapped := b.TablespaceMap[location]; mapped {
		return to, true, nil
	}
	return location, false, nil
}
