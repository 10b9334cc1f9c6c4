// Pgparallel takes base backups of PostgreSQL clusters over several connections at
// once, and serves the data directory of a stopped cluster for that. See
// pgparallel --help, and the packages walsender and client for programs that do
// the same.
package main

import "os"

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }
