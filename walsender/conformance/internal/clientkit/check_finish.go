package clientkit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/protocol/manifest"
	"github.com/pgparallel/pgparallel/walsender/conformance/internal/rule"
)

// archived: the histories have their .done files; the segment that the backup ends in, which
// is the only one that it needs, is nothing that the copy may take for archived.
func archived(e *evidence) *rule.Finding {
	const expected = "a history has an archive_status/NAME.done, the segment that holds the end neither .done nor .ready"
	names, err := e.needed()
	if err != nil {
		return rule.Found(expected, "%v", err)
	}
	for _, name := range names {
		base := filepath.Base(name)
		for _, suffix := range []string{".done", ".ready"} {
			status := "pg_wal/archive_status/" + base + suffix
			_, err := os.Lstat(filepath.Join(e.target.Dir, status))
			switch wanted := protocol.IsHistoryFileName(base) && suffix == ".done"; {
			case err != nil && wanted:
				return rule.Found(expected, "%q is missing", status)
			case err == nil && !wanted:
				return rule.Found(expected, "there is %q", status)
			}
		}
	}
	return nil
}

// manifest is the backup_manifest of the target.
func (e *evidence) manifest() (*manifest.Manifest, *rule.Finding) {
	text, err := os.ReadFile(filepath.Join(e.target.Dir, "backup_manifest"))
	if err != nil {
		return nil, rule.Found("there is a backup_manifest", "there is none")
	}
	m, err := manifest.Read(bytes.NewReader(text))
	if err != nil {
		return nil, rule.Found("backup_manifest is valid", "%v", err)
	}
	return m, nil
}

// manifestFits: the manifest has every file of the target, and no other, with its size
// and its checksum.
func manifestFits(e *evidence) *rule.Finding {
	const expected = "backup_manifest has each file with its size and its checksum, and no other"
	m, f := e.manifest()
	if f != nil {
		return f
	}
	known := map[string]bool{}
	for _, file := range m.Files {
		known[file.Path] = true
		content, err := os.ReadFile(filepath.Join(e.target.Dir, file.Path))
		switch {
		case err != nil:
			return rule.Found(expected, "%q is in it and not in the target", file.Path)
		case int64(len(content)) != file.Size:
			return rule.Found(expected, "%q has %d bytes, %d in the manifest", file.Path, len(content), file.Size)
		}
		if sum := file.Algorithm.New(); sum != nil {
			sum.Write(content)
			if !bytes.Equal(sum.Sum(nil), file.Checksum) {
				return rule.Found(expected, "the checksum of %q is wrong", file.Path)
			}
		}
	}
	rows, err := e.tree()
	if err != nil {
		return rule.Found("the kit lists its own cluster", "%v", err)
	}
	for _, row := range rows {
		_, err := os.Lstat(filepath.Join(e.target.Dir, row.Path))
		if row.Type == protocol.TypeFile && err == nil && !known[row.Path] {
			return rule.Found(expected, "%q is not in it", row.Path)
		}
	}
	return nil
}

// inManifest: the manifest has the path.
func inManifest(path string) check {
	return func(e *evidence) *rule.Finding {
		m, f := e.manifest()
		if f != nil {
			return f
		}
		for _, file := range m.Files {
			if file.Path == path {
				return nil
			}
		}
		return rule.Found("backup_manifest has each file of the backup", "%q is not in it", path)
	}
}

// manifestRange: the manifest names the WAL of [startptr, stopptr).
func manifestRange(e *evidence) *rule.Finding {
	const expected = "backup_manifest names the WAL from startptr to stopptr"
	m, f := e.manifest()
	if f != nil {
		return f
	}
	stop := e.row("STOP_BACKUP")
	if len(stop) < 5 || len(m.WALRanges) == 0 {
		return rule.Found(expected, "it names %d ranges", len(m.WALRanges))
	}
	start, _ := protocol.ParseLSN(stop[0])
	end, _ := protocol.ParseLSN(stop[3])
	newest, oldest := m.WALRanges[0], m.WALRanges[len(m.WALRanges)-1]
	if oldest.Start != start || newest.End != end {
		return rule.Found(expected, "it names %v to %v instead of %v to %v", oldest.Start, newest.End, start, end)
	}
	return nil
}

// manifestSystem: a manifest that has a system identifier has the cluster's.
func manifestSystem(e *evidence) *rule.Finding {
	m, f := e.manifest()
	if f != nil {
		return f
	}
	system, err := e.cluster.Identify(context.Background())
	if err != nil || m.Version != 2 || m.SystemID != system.SystemID {
		return rule.Found("backup_manifest of PostgreSQL 17 is of version 2, with the system identifier",
			"it is of version %d, with %d", m.Version, m.SystemID)
	}
	return nil
}

// cannotStart: PostgreSQL would refuse the target, for it finds no pg_control.
func cannotStart(e *evidence) *rule.Finding {
	_, err := os.Lstat(filepath.Join(e.target.Dir, controlFile))
	if !errors.Is(err, fs.ErrNotExist) {
		return rule.Found("PostgreSQL refuses to start from what is left: there is no global/pg_control", "it is there")
	}
	return nil
}

// noLabelYet: nobody knows the label before STOP_BACKUP has told it.
func noLabelYet(e *evidence) *rule.Finding {
	if _, err := os.Lstat(filepath.Join(e.target.Dir, "backup_label")); err == nil {
		return rule.Found("there is no backup_label before STOP_BACKUP has returned it", "there is one")
	}
	return nil
}

// wasKilled: the signal ended the client, where the case wanted it.
func wasKilled(e *evidence) *rule.Finding {
	if e.outcome.Signal == nil {
		return rule.Found("the client waits for the server where it is to be killed", "%s", e.outcome.Says())
	}
	return nil
}

// noManifestYet: the manifest is the last thing that is written.
func noManifestYet(e *evidence) *rule.Finding {
	if _, err := os.Lstat(filepath.Join(e.target.Dir, "backup_manifest")); err == nil {
		return rule.Found("backup_manifest is written last", "there is one already")
	}
	return nil
}

// modes: directories and files have these modes.
func modes(dir, file fs.FileMode) check {
	return func(e *evidence) *rule.Finding {
		w := wholeCheck{evidence: e}
		for name, entry := range e.after {
			path, inside := w.path(name)
			want := file
			if entry.mode.IsDir() {
				want = dir
			}
			if inside && entry.mode&fs.ModeSymlink == 0 && entry.mode.Perm() != want {
				return rule.Found(fmt.Sprintf("directories have the mode %04o, files %04o", dir, file), "%q has %04o", path, entry.mode.Perm())
			}
		}
		return nil
	}
}
