// Package basebackup makes what a BASE_BACKUP sends (§9.1), in the shape of each major version of
// PostgreSQL: a [Stream] of archives, each an [Archive], and the [Manifest] behind them. It knows
// nothing of the cluster: what is in the archives, and in which order, is its caller's matter.
// One goroutine uses a backup's.
package basebackup
