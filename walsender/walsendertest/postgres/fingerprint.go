package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// Table is what a fingerprint knows of a table's content.
type Table struct {
	Rows     int64
	Sum      string // the sum of a hash of each row: the same for the same rows in any order
	Unlogged bool
}

// fingerprintQuery writes one query a table; \gexec runs each. A partition is a
// table of its own, so the partitioned one (which holds nothing) is not asked,
// nor the children of a parent together with it.
const fingerprintQuery = `
select format('select json_build_object(''name'', %L, ''unlogged'', %L::bool, ''rows'', count(*),
                      ''sum'', coalesce(sum(hashtext((t.*)::text)::bigint), 0)::text)
               from only %I.%I as t', nspname || '.' || relname, relpersistence = 'u', nspname, relname)
from pg_class join pg_namespace n on n.oid = relnamespace
where relkind in ('r', 'm') and nspname <> 'information_schema' and nspname !~ '^pg_'
  and (relkind = 'r' or relispopulated)
  and (relpersistence = 'p' or relpersistence = 'u' and not pg_is_in_recovery())
order by nspname, relname
\gexec
`

// Fingerprint reads every table and materialized view that users made in every
// database and sums up their content, by "database/schema.table". Two clusters
// of one version with the same content have the same fingerprint. A standby's is
// without its unlogged tables, which cannot be read in recovery.
func (c *Cluster) Fingerprint(ctx context.Context) (map[string]Table, error) {
	databases, err := c.Databases(ctx)
	if err != nil {
		return nil, err
	}
	tables := make(map[string]Table)
	for _, database := range databases {
		out, err := c.SQL(ctx, database, fingerprintQuery)
		if err != nil {
			return nil, fmt.Errorf("fingerprint of database %q: %w", database, err)
		}
		for line := range strings.Lines(out) {
			var row struct {
				Name string
				Table
			}
			if err := json.Unmarshal([]byte(line), &row); err != nil {
				return nil, fmt.Errorf("fingerprint of database %q: %w", database, err)
			}
			tables[database+"/"+row.Name] = row.Table
		}
	}
	return tables, nil
}
