// Package walsendertest makes what tests of base backups need.
//
// A [Sample] is a data directory that base backup tools take for a PostgreSQL
// cluster's, written in moments and without a server. It holds no catalogs, so
// no server ever starts on it; for that there is the package postgres below
// this one, which runs the real programs.
package walsendertest
