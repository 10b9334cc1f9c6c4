package client

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pgparallel/pgparallel/client/internal/output"
	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/walrecord"
)

// checkReplay makes sure that recovery of the copy neither leaves the copy nor lacks what it
// makes directories of (§5.12). Replay goes on to the end of the WAL, behind the end of the
// backup.
func (b *backup) checkReplay(d walrecord.Directories) error {
	if d.Unknown != 0 {
		return fmt.Errorf("record at %v of the write-ahead log creates what this client does not know", d.Unknown)
	}
	if err := b.checkTablespaceChanges(d.Tablespaces); err != nil {
		return err
	}
	return b.checkTemplates(d.Databases)
}

// checkTablespaceChanges makes sure that replay links tablespaces to where the copy has them.
// Those that the copy does not have are dropped again before it is consistent.
func (b *backup) checkTablespaceChanges(changes []walrecord.TablespaceChange) error {
	dropped := map[uint32]protocol.LSN{} // where it is dropped next
	var first error
	for _, c := range slices.Backward(changes) {
		if c.Dropped {
			dropped[c.OID] = c.Start
			continue
		}
		at := dropped[c.OID]
		passes := at != 0 && (b.stopped.StopPtr == 0 || at < b.stopped.StopPtr)
		if err := b.checkCreated(c, passes); err != nil {
			first = err
		}
	}
	return first
}

// checkCreated makes sure that replay links a tablespace to where the copy has it. passes says
// that the tablespace is dropped later, by the end of the backup.
func (b *backup) checkCreated(c walrecord.TablespaceChange, passes bool) error {
	if c.Location == "" || (protocol.Tablespace{OID: c.OID, Location: c.Location}).InPlace() {
		return nil
	}
	i := slices.IndexFunc(b.tablespaces, func(t protocol.Tablespace) bool { return t.OID == c.OID })
	if i < 0 || !b.tablespaces[i].InPlace() && !slices.Contains(b.listing.Links, c.OID) {
		switch {
		case passes:
			return nil
		case b.replayed():
			return createdMeanwhile(c.OID, c.Location)
		}
		return protocol.Errorf(protocol.CodeObjectNotInPrerequisite,
			"the write-ahead log creates tablespace %d at %v in %q, and the cluster does not have it any more", c.OID, c.Start, c.Location).
			WithHint("A server that is restored from this backup would write into %q. Start and stop the source. Then take another backup.", c.Location)
	}
	t := b.tablespaces[i]
	location := t.Location
	if !t.InPlace() {
		var err error
		if location, _, err = b.locationOf(t); err != nil {
			return err
		}
	}
	if filepath.Clean(c.Location) == location {
		return nil
	}
	return protocol.Errorf(protocol.CodeObjectNotInPrerequisite,
		"tablespace %d of the backup is in %q, and its write-ahead log creates it at %v in %q", t.OID, location, c.Start, c.Location).
		WithHint("A server that is restored from this backup would write into %q. Run CHECKPOINT on the source, which has to be started for it if it has crashed; for a standby run it on the primary, and wait for a restartpoint. Then take another backup.", c.Location)
}

// createdMeanwhile is the failure of a backup that lacks a tablespace which the copy would
// link to the directory of the source.
func createdMeanwhile(oid uint32, location string) error {
	return protocol.Errorf(protocol.CodeObjectNotInPrerequisite, "tablespace %d was created during the backup", oid).
		WithHint("A server that is restored from this backup would write into %q, the directory of the original. Take another backup.", location)
}

// checkTemplates makes sure that the copy has all files that replay makes databases of.
func (b *backup) checkTemplates(changes []walrecord.DatabaseChange) error {
	if !slices.ContainsFunc(changes, copiesFiles) {
		return nil
	}
	listed, unsteady := b.wholeDatabases(), unsteadyDatabases(changes)
	replayed := map[walrecord.DatabaseDirectory]bool{} // whether it is there, if a record has said so
	for _, c := range changes {
		if copiesFiles(c) {
			whole, made := replayed[c.Template]
			if !made {
				whole = listed[c.Template] && !(unsteady[c.Template] && b.whileListed(c))
			}
			if !whole {
				return protocol.Errorf(protocol.CodeObjectNotInPrerequisite,
					"the write-ahead log creates %s at %v from the files of %s, which the backup does not have all", inWords(c.Directory), c.Start, inWords(c.Template)).
					WithHint("A server that is restored from this backup would lose database %d. Take another backup while no CREATE DATABASE … STRATEGY file_copy runs (any CREATE DATABASE before PostgreSQL 15), and no ALTER DATABASE … SET TABLESPACE. On a standby, wait for a restartpoint behind them.", c.Directory.Database)
			}
		}
		replayed[c.Directory] = !c.Dropped
	}
	return nil
}

// unsteadyDatabases are the directories that records create or drop. The list of such a one
// may lack files that were removed already, or not made yet, and none that it has need be
// missing later.
func unsteadyDatabases(changes []walrecord.DatabaseChange) map[walrecord.DatabaseDirectory]bool {
	unsteady := map[walrecord.DatabaseDirectory]bool{}
	for _, c := range changes {
		unsteady[c.Directory] = true
		if c.Template.Database == c.Directory.Database {
			unsteady[c.Template] = true // the database is moved: what it leaves is dropped next
		}
	}
	return unsteady
}

// whileListed reports whether the files of the copy may have been listed behind a record, by
// a server that ran.
func (b *backup) whileListed(c walrecord.DatabaseChange) bool {
	return b.replayed() && c.Start < b.stopped.StopPtr
}

func copiesFiles(c walrecord.DatabaseChange) bool {
	return c.Template != walrecord.DatabaseDirectory{}
}

func inWords(d walrecord.DatabaseDirectory) string {
	return fmt.Sprintf("database %d in tablespace %d", d.Database, d.Tablespace)
}

// wholeDatabases are those of which the copy has all files that there were when they were
// listed.
func (b *backup) wholeDatabases() map[walrecord.DatabaseDirectory]bool {
	whole := map[walrecord.DatabaseDirectory]bool{}
	for i := range int32(b.listing.Files.Len()) {
		if d, name, ok := splitDatabasePath(b.listing.Files.At(i).Path); ok && name == "PG_VERSION" {
			whole[d] = true
		}
	}
	for d := range b.excuses.databases {
		delete(whole, d)
	}
	return whole
}

// defaultTablespace is the OID of pg_default, whose directory is base.
const defaultTablespace = 1663

// splitDatabasePath reports whether a path is below the directory of a database, and what
// follows then.
func splitDatabasePath(path string) (d walrecord.DatabaseDirectory, name string, ok bool) {
	d.Tablespace = defaultTablespace
	rest, ok := strings.CutPrefix(path, "base/")
	if !ok {
		if d.Tablespace, rest, ok = output.SplitTablespacePath(path); !ok {
			return d, "", false
		}
		_, rest, _ = strings.Cut(rest, "/") // behind PG_MAJOR_CATVERSION
	}
	database, name, below := strings.Cut(rest, "/")
	d.Database, ok = protocol.ParseOID(database)
	return d, name, ok && below
}
