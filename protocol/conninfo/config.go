package conninfo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Configs are the configurations to connect with, to be tried in their order: one for
// each server, twice where another is preferred to it (target_session_attrs). They may
// be changed, but for Host, Port, TLSConfig and Fallbacks, which belong together. An
// error is about the files that TLS needs.
//
// With load_balance_hosts=random the order is another one with each call.
func (i *Info) Configs() ([]*pgconn.Config, error) {
	var configs []*pgconn.Config
	for _, s := range i.servers {
		config, err := i.config(s)
		if err != nil {
			return nil, err
		}
		configs = append(configs, config)
	}
	if i.text("load_balance_hosts") == "random" {
		rand.Shuffle(len(configs), func(a, b int) { configs[a], configs[b] = configs[b], configs[a] })
	}
	if i.text("target_session_attrs") == "prefer-standby" {
		for _, config := range configs {
			again := config.Copy()
			again.ValidateConnect = nil
			configs = append(configs, again)
		}
	}
	return configs, nil
}

func (i *Info) config(s server) (*pgconn.Config, error) {
	config, err := blankConfig()
	if err != nil {
		return nil, err
	}
	tlsConfigs, err := i.tlsConfigs(s)
	if err != nil {
		return nil, err
	}
	config.Host, config.Port = s.name(), s.port
	if s.hostaddr != "" && isSocket(s.host) {
		config.Host = s.hostaddr // pgconn would go to the socket
	}
	config.TLSConfig = tlsConfigs[0]
	for _, other := range tlsConfigs[1:] {
		config.Fallbacks = append(config.Fallbacks, &pgconn.FallbackConfig{Host: config.Host, Port: s.port, TLSConfig: other})
	}
	config.User, config.Password, config.Database = i.text("user"), s.password, i.text("dbname")
	config.RuntimeParams = i.runtimeParams()
	config.ConnectTimeout = i.connectTimeout()
	config.LookupFunc = i.lookup(s)
	config.DialFunc = i.dial(s)
	config.ValidateConnect = sessionCheck(i.text("target_session_attrs"))
	config.ChannelBinding, config.RequireAuth = i.text("channel_binding"), i.text("require_auth")
	config.SSLNegotiation, config.SSLCertMode = i.text("sslnegotiation"), i.text("sslcertmode")
	config.MinProtocolVersion, config.MaxProtocolVersion = i.minProtocolVersion(), i.maxProtocolVersion()
	return config, nil
}

// blankConfig is a configuration to fill in. pgconn makes one only by parsing a
// string, and looks into the environment too: whatever it could find there is in the
// string.
func blankConfig() (*pgconn.Config, error) {
	connString := "host=/ port=5432 user=blank password=blank dbname=blank connect_timeout=0 sslmode=disable sslcertmode=allow" +
		" sslnegotiation=postgres target_session_attrs=any channel_binding=prefer require_auth=''" +
		" min_protocol_version=3.0 max_protocol_version=3.0"
	if os.Getenv("PGSERVICE") != "" {
		service, err := blankService()
		if err != nil {
			return nil, err
		}
		defer service.Close()
		connString += fmt.Sprintf(" service=blank servicefile=/dev/fd/%d", service.Fd())
	}
	config, err := pgconn.ParseConfig(connString)
	if err != nil {
		return nil, fmt.Errorf("could not prepare a connection: %w", err)
	}
	return config, nil
}

// blankService is a service file that says nothing.
func blankService() (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("could not create a pipe: %w", err)
	}
	defer w.Close()
	if _, err := w.WriteString("[blank]\n"); err != nil {
		r.Close()
		return nil, fmt.Errorf("could not write to a pipe: %w", err)
	}
	return r, nil
}

// runtimeParams are the settings for the startup packet (fe-protocol3.c,
// build_startup_packet).
func (i *Info) runtimeParams() map[string]string {
	params := map[string]string{}
	if i.replication {
		params["replication"] = "true"
	}
	for _, name := range []string{"application_name", "options", "client_encoding"} {
		if text := i.text(name); text != "" {
			params[name] = text
		}
	}
	if params["client_encoding"] == "auto" {
		params["client_encoding"] = "UTF8" // this program's, whatever the locale
	}
	for _, v := range sessionVariables {
		if text := os.Getenv(v.name); text != "" && !strings.EqualFold(text, "default") {
			params[v.setting] = text
		}
	}
	return params
}

// connectTimeout is libpq's: a single second counts as two, less than one as none.
func (i *Info) connectTimeout() time.Duration {
	switch seconds := i.integer("connect_timeout"); {
	case seconds <= 0:
		return 0
	default:
		return time.Duration(max(seconds, 2)) * time.Second
	}
}

// integer is a value that has been checked to be one; 0 where there is none.
func (i *Info) integer(keyword string) int {
	n, _ := parseInteger(i.text(keyword))
	return n
}

func (i *Info) minProtocolVersion() string {
	if version := i.text("min_protocol_version"); version != "" {
		return version
	}
	return "3.0"
}

func (i *Info) maxProtocolVersion() string {
	switch version := i.text("max_protocol_version"); {
	case version != "":
		return version
	case i.minProtocolVersion() == "3.0":
		return "3.0"
	}
	return "latest"
}

// lookup finds the addresses of a server's host.
func (i *Info) lookup(s server) pgconn.LookupFunc {
	return func(ctx context.Context, host string) ([]string, error) {
		if s.hostaddr != "" {
			return []string{s.hostaddr}, nil
		}
		if isSocket(host) {
			return []string{host}, nil // an abstract one, of which pgconn does not know
		}
		addresses, err := net.DefaultResolver.LookupHost(ctx, host)
		if i.text("load_balance_hosts") == "random" {
			rand.Shuffle(len(addresses), func(a, b int) { addresses[a], addresses[b] = addresses[b], addresses[a] })
		}
		return addresses, err
	}
}
