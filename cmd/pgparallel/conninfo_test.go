package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Where to connect is asked by options, connection string, service file and environment,
// in this order; the database of the connection string is that of the session.
func TestConnectionOptions(t *testing.T) {
	passfile := filepath.Join(t.TempDir(), "pgpass")
	services := filepath.Join(t.TempDir(), "services")
	write(t, passfile, "*:7:replication:u:of the file\n")
	write(t, services, "[backup]\nhost=/service\nport=9\nuser=s\n")
	for _, c := range []struct {
		name    string
		options connectionOptions
		env     map[string]string
		want    string // user:password@host:port/database
	}{
		{"options", connectionOptions{Host: "/h", Port: "7", Username: "u"}, nil, "u:@/h:7/replication"},
		{"default port", connectionOptions{Host: "/h", Username: "u"}, nil, "u:@/h:5432/replication"},
		{"environment", connectionOptions{}, map[string]string{"PGHOST": "/e", "PGPORT": "8", "PGUSER": "v", "PGPASSWORD": "pw"}, "v:pw@/e:8/replication"},
		{"options over environment", connectionOptions{Host: "/h"}, map[string]string{"PGHOST": "/e", "PGUSER": "v"}, "v:@/h:5432/replication"},
		{"connection string over environment", connectionOptions{Dbname: "host=/c port=6 user=w"}, map[string]string{"PGHOST": "/e", "PGPORT": "8"}, "w:@/c:6/replication"},
		{"options over connection string", connectionOptions{Dbname: "host=/c port=6 user=w dbname=x", Host: "/h", Port: "7", Username: "u"}, nil, "u:@/h:7/x"},
		{"options over URI", connectionOptions{Dbname: "postgres://w:pw@/x?host=/c&port=6", Host: "/h h", Port: "7", Username: "u&"}, nil, "u&:pw@/h h:7/x"},
		{"URI without parameters", connectionOptions{Dbname: "postgresql://w@c:6", Username: "u"}, nil, "u:@c:6/replication"},
		{"URI with a question mark in the password", connectionOptions{Dbname: "postgres://w:p?w@c:6/x", Port: "7"}, nil, "w:p?w@c:7/x"},
		{"URI with an empty query", connectionOptions{Dbname: "postgres://w@c:6/x?", Port: "7"}, nil, "w:@c:7/x"},
		{"quotes and backslashes", connectionOptions{Host: `/it's\here`, Username: "a b"}, nil, `a b:@/it's\here:5432/replication`},
		{"service", connectionOptions{Dbname: "service=backup", Port: "7"}, map[string]string{"PGSERVICEFILE": services}, "s:@/service:7/replication"},
		{"password file", connectionOptions{Host: "/h", Port: "7", Username: "u"}, map[string]string{"PGPASSFILE": passfile}, "u:of the file@/h:7/replication"},
	} {
		t.Run(c.name, func(t *testing.T) {
			clearEnvironment(t)
			for name, value := range c.env {
				t.Setenv(name, value)
			}
			info, err := c.options.connInfo(func(string) {})
			if err != nil {
				t.Fatal(err)
			}
			configs, err := info.Configs()
			if err != nil {
				t.Fatal(err)
			}
			config := configs[0]
			got := fmt.Sprintf("%s:%s@%s:%d/%s", config.User, config.Password, config.Host, config.Port, config.Database)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// clearEnvironment takes libpq's variables, and the user's files, out of a test.
func clearEnvironment(t *testing.T) {
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "PG") {
			t.Setenv(name, "") // has it restored
			os.Unsetenv(name)
		}
	}
	t.Setenv("HOME", t.TempDir())
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
