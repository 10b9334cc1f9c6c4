package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/pgparallel/pgparallel/client"
)

// dryRun shows what a backup would do.
func (c *backupCommand) dryRun(ctx context.Context, out *console, lines *jsonLines, options client.Options) error {
	plan, err := client.DryRun(ctx, options)
	if err != nil {
		return err
	}
	if c.JSON {
		lines.plan(plan)
		return nil
	}
	out.print(planText(plan))
	return nil
}

// planText is a plan as tables, and what does not fit into one.
func planText(p client.Plan) string {
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "DIRECTORY\tFILES\tSIZE\tTARGET")
	for _, s := range p.Spaces {
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\n", spaceName(s), s.Files, sizeText(s.Bytes), spaceTarget(s))
	}
	fmt.Fprintf(table, "total\t%d\t%s\n", p.Files, sizeText(p.Bytes))
	table.Flush()
	fmt.Fprintln(&text)
	if r := p.Refresh; r != nil {
		fmt.Fprintln(table, "REFRESH\tFILES\tSIZE")
		fmt.Fprintf(table, "keep\t%d\t%s\n", r.KeptFiles, sizeText(r.KeptBytes))
		fmt.Fprintf(table, "fetch\t%d\t%s\n", r.FetchedFiles, sizeText(r.FetchedBytes))
		fmt.Fprintf(table, "remove\t%d\t%s\n", r.RemovedFiles, sizeText(r.RemovedBytes))
		table.Flush()
		fmt.Fprintln(&text)
	}
	fmt.Fprintln(table, "WORKER\tFILES\tSIZE")
	for i, w := range p.Workers {
		fmt.Fprintf(table, "%d\t%d\t%s\n", i, w.Files, sizeText(w.Bytes))
	}
	table.Flush()
	if len(p.FileSystems) > 0 {
		fmt.Fprintln(&text)
		fmt.Fprintln(table, "FILE SYSTEM OF\tNEEDED\tFREE")
		for _, f := range p.FileSystems {
			fmt.Fprintf(table, "%s\t%s\t%s\n", f.Dir, neededText(f), sizeText(f.Free))
		}
		table.Flush()
	}
	fmt.Fprintf(&text, "\nwrite-ahead log: %s\n", walText(p))
	if p.Refresh != nil && p.Refresh.Beside != "" {
		fmt.Fprintf(&text, "would make the new backup in %s, and let it take the place of the old one\n", p.Refresh.Beside)
	}
	for _, dir := range p.Removes {
		fmt.Fprintf(&text, "would remove the unfinished backup in %s\n", dir)
	}
	for _, dir := range p.Creates {
		fmt.Fprintf(&text, "would create %s\n", dir)
	}
	return text.String()
}

func spaceName(s client.PlannedSpace) string {
	if s.OID == 0 {
		return "data directory"
	}
	return fmt.Sprintf("tablespace %d, %s", s.OID, s.Location)
}

func spaceTarget(s client.PlannedSpace) string {
	switch {
	case s.Unmapped:
		return s.Target + " (named by the server, not mapped)"
	case s.Target != "":
		return s.Target
	case s.OID == 0:
		return "standard output"
	}
	return "in the data directory"
}

// neededText is what a backup needs on a file system: without compression that is the
// least, for the cluster may write WAL.
func neededText(f client.FileSystem) string {
	if f.AtMost {
		return "up to " + sizeText(f.Needed)
	}
	return sizeText(f.Needed)
}

func walText(p client.Plan) string {
	switch {
	case p.WAL == client.WALNone:
		return "not included"
	case p.WAL == client.WALFetch:
		return "fetched at the end"
	case p.Slot != "":
		return fmt.Sprintf("streamed over one more connection, by the replication slot %q", p.Slot)
	default:
		return "streamed over one more connection"
	}
}

// walMethodName is the value of -X for a method.
func walMethodName(m client.WALMethod) string {
	switch m {
	case client.WALNone:
		return "none"
	case client.WALStream:
		return "stream"
	}
	return "fetch"
}

// sizeText is a size in the units of PostgreSQL's pg_size_pretty.
func sizeText(bytes int64) string {
	unit := 0
	for bytes >= 10<<10 && unit < 4 {
		bytes, unit = (bytes+512)>>10, unit+1
	}
	return fmt.Sprintf("%d %s", bytes, []string{"bytes", "kB", "MB", "GB", "TB"}[unit])
}
