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
func (b *backup) checkReplay(c walrecord.Creations) error {
	if c.Unknown != 0 {
		return fmt.Errorf("record at %v of the write-ahead log creates what this client does not know", c.Unknown)
	}
	for _, t := range c.Tablespaces {
		if err := b.checkCreated(t); err != nil {
			return err
		}
	}
	return b.checkTemplates(c.Databases)
}

// checkCreated makes sure that replay links a tablespace to where the copy has it.
func (b *backup) checkCreated(c walrecord.TablespaceCreation) error {
	i := slices.IndexFunc(b.tablespaces, func(t protocol.Tablespace) bool { return t.OID == c.OID })
	if i < 0 || (protocol.Tablespace{OID: c.OID, Location: c.Location}).InPlace() || c.Location == "" {
		return nil
	}
	t := b.tablespaces[i]
	location := t.Location
	if !t.InPlace() {
		if !slices.Contains(b.listing.Links, t.OID) {
			return nil // it was dropped while the backup ran
		}
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

// checkTemplates makes sure that the copy has all files that replay makes databases of.
func (b *backup) checkTemplates(creations []walrecord.DatabaseCreation) error {
	whole := map[walrecord.DatabaseDirectory]bool{}
	if slices.ContainsFunc(creations, copiesFiles) {
		whole = b.wholeDatabases()
	}
	for _, c := range creations {
		if copiesFiles(c) && !whole[c.Template] {
			return protocol.Errorf(protocol.CodeObjectNotInPrerequisite,
				"the write-ahead log creates %s at %v from the files of %s, which the backup does not have all", inWords(c.Directory), c.Start, inWords(c.Template)).
				WithHint("A server that is restored from this backup would lose database %d. Take another backup while no CREATE DATABASE … STRATEGY file_copy runs (any CREATE DATABASE before PostgreSQL 15), and no ALTER DATABASE … SET TABLESPACE.", c.Directory.Database)
		}
		whole[c.Directory] = true // by replay
	}
	return nil
}

func copiesFiles(c walrecord.DatabaseCreation) bool {
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
