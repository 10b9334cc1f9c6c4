package main

import (
	"context"
	"fmt"

	"github.com/pgparallel/pgparallel/walsender/walsendertest/postgres"
)

// A row of fillLarge's tables takes a ninth of a page.
const rowsPerPage, pageSize = 9, 8192

// smallTables is how many tables of fillLarge are small.
const smallTables = 32

// fillLarge makes about as many bytes of tables: two thirds in one, so that there is a file of
// 1 GiB where there are 1.6 GB.
func fillLarge(size byteSize) func(context.Context, *postgres.Cluster) error {
	rows := int64(size) / pageSize * rowsPerPage
	const as = "as select i, repeat(md5(i::text), 25) filler from generate_series(1, %d) i"
	script := fmt.Sprintf("create table large "+as+";\ndo $$ begin for n in 1..%d loop\n"+
		"execute format('create table small_%%s "+as+"', n);\nend loop; end $$;", rows*2/3, smallTables, rows/3/smallTables)
	return func(ctx context.Context, c *postgres.Cluster) error {
		_, err := c.SQL(ctx, "postgres", script)
		return err
	}
}

// A database of fillSmall has so many copies besides itself; PostgreSQL's own three databases are
// of some 300 files each, and so is the template of this one.
const databaseCopies, ownFiles = 7, 300

// fillSmall makes about as many files: tables of one row with their TOAST tables and the indexes
// of these, in several databases.
func fillSmall(files int) func(context.Context, *postgres.Cluster) error {
	tables := max((files-3*ownFiles)/(databaseCopies+1)-ownFiles, 0) / 3
	script := fmt.Sprintf(`do $$ begin for n in 1..%d loop
		execute format('create table t_%%s as select 1 i, ''x''::text t', n);
		if n %% 100 = 0 then commit; end if; -- a transaction holds its locks to its end
	end loop; end $$`, tables)
	return func(ctx context.Context, c *postgres.Cluster) error {
		if _, err := c.SQL(ctx, "postgres", "create database files"); err != nil {
			return err
		}
		if _, err := c.SQL(ctx, "files", script); err != nil {
			return err
		}
		strategy := ""
		if c.Programs.Major >= 15 {
			strategy = " strategy file_copy"
		}
		for n := range databaseCopies {
			if _, err := c.SQL(ctx, "postgres", fmt.Sprintf("create database files%d template files%s", n, strategy)); err != nil {
				return err
			}
		}
		return nil
	}
}
