package main

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/pgparallel/pgparallel/protocol/conninfo"
)

// connectionOptions are those of every program that connects to a server.
type connectionOptions struct {
	Dbname   string `short:"d"`
	Host     string `short:"h"`
	Port     string `short:"p"` // libpq takes lists, too
	Username string `short:"U"`

	NoPassword bool `short:"w"`
	Password   bool `short:"W"`
}

// connInfo is where to connect to: what the options say, then the connection string,
// then the service file, then the environment, then libpq's defaults. warn is told what the
// user should know of that.
func (o connectionOptions) connInfo(warn func(string)) (*conninfo.Info, error) {
	info, err := conninfo.Resolve(o.Dbname, conninfo.Options{
		Settings:        map[string]string{"host": o.Host, "port": o.Port, "user": o.Username},
		Replication:     true,
		ApplicationName: "pgparallel",
	})
	if err != nil {
		return nil, fmt.Errorf("invalid connection options: %w", err)
	}
	for _, warning := range info.Warnings() {
		warn(warning)
	}
	return info, nil
}

// defaultPortHint is for whoever was led to PostgreSQL's default port, where nobody listens.
func defaultPortHint(err error) string {
	if err == nil || !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ECONNREFUSED) {
		return ""
	}
	if text := err.Error(); !strings.Contains(text, `.s.PGSQL.5432" failed`) && !strings.Contains(text, "port 5432 failed") {
		return ""
	}
	return `"pgparallel serve" listens on port 5433 by default: use -p 5433.`
}
