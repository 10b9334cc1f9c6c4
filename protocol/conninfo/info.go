package conninfo

import (
	"fmt"
	"os"
	"slices"
)

// Source is where a value comes from.
type Source int

const (
	FromNowhere     Source = iota // there is no value
	FromDefaults                  // of libpq, or of the program
	FromEnvironment               // a variable
	FromService                   // a service file
	FromString                    // the connection string
	FromProgram                   // an option of the program, or its user's answer
)

// Options is what a program has to say to a connection.
type Options struct {
	// Settings are those of the program's own options, by keyword. They go before
	// all others; empty ones are none.
	Settings map[string]string
	// Replication is for a connection for replication. Its database, which is for
	// a pooler's routing and for the password file, is the connection string's, or
	// replication.
	Replication bool
	// Database is the one to connect to if no other is named; empty means the one
	// that is called like the user.
	Database string
	// ApplicationName is the name of the session if it gets no other.
	ApplicationName string
}

// Info is where and as whom to connect. It does not change; methods may be called from
// several goroutines.
type Info struct {
	values      map[string]value // by keyword; all that has one
	replication bool
	database    string // that the user named, though it may not be connected to
	servers     []server
	warnings    []string
}

type value struct {
	text   string
	source Source
}

// Resolve reads a connection string, which may be empty, and whatever it leaves out. It
// reads files and the environment; it does not connect, and resolves no host name.
func Resolve(connString string, o Options) (*Info, error) {
	i := &Info{values: map[string]value{}, replication: o.Replication}
	for name, text := range o.Settings {
		if text != "" {
			i.values[name] = value{text, FromProgram}
		}
	}
	set, err := parse(connString)
	if err != nil {
		return nil, err
	}
	i.add(set, FromString)
	if err := i.addService(); err != nil {
		return nil, err
	}
	i.add(environment(), FromEnvironment)
	if i.database = i.text("dbname"); o.Replication && (i.source("dbname") < FromString || i.database == "") {
		i.values["dbname"] = value{"replication", FromDefaults}
	}
	if i.text("application_name") == "" {
		i.values["application_name"] = i.applicationName(o)
	}
	i.addDefaults()
	if err := i.addUser(o.Database); err != nil {
		return nil, err
	}
	if err := i.check(); err != nil {
		return nil, err
	}
	if i.servers, err = i.listServers(); err != nil {
		return nil, err
	}
	i.lookUpPasswords()
	return i, nil
}

// add gives values to the keywords that have none.
func (i *Info) add(set map[string]string, source Source) {
	for name, text := range set {
		if _, has := i.values[name]; !has {
			i.values[name] = value{text, source}
		}
	}
}

func (i *Info) addService() error {
	service, given := i.values["service"]
	if !given {
		if service.text, given = os.LookupEnv("PGSERVICE"); !given {
			return nil
		}
	}
	set, err := readService(service.text)
	i.add(set, FromService)
	return err
}

func environment() map[string]string {
	set := map[string]string{}
	for _, k := range keywords {
		if text, given := os.LookupEnv(k.Variable); given && k.Variable != "" {
			set[k.Name] = text
		}
	}
	if _, given := set["sslmode"]; !given && len(os.Getenv("PGREQUIRESSL")) > 0 && os.Getenv("PGREQUIRESSL")[0] == '1' {
		set["sslmode"] = "require"
	}
	return set
}

func (i *Info) applicationName(o Options) value {
	if fallback := i.values["fallback_application_name"]; fallback.text != "" {
		return value{fallback.text, FromDefaults}
	}
	return value{o.ApplicationName, FromDefaults}
}

func (i *Info) addDefaults() {
	if i.text("sslrootcert") == "system" {
		i.add(map[string]string{"sslmode": "verify-full"}, FromDefaults)
	}
	set := map[string]string{}
	for _, k := range keywords {
		if k.fallback != "" {
			set[k.Name] = k.fallback
		}
	}
	i.add(set, FromDefaults)
}

func (i *Info) addUser(database string) error {
	if i.text("user") == "" {
		u, err := effectiveUser()
		if err != nil {
			return err
		}
		i.values["user"] = value{u.Username, FromDefaults}
	}
	if i.text("dbname") == "" {
		if database == "" {
			database = i.text("user")
		}
		i.values["dbname"] = value{database, FromDefaults}
	}
	return nil
}

func (i *Info) text(keyword string) string   { return i.values[keyword].text }
func (i *Info) source(keyword string) Source { return i.values[keyword].source }

// given reports whether the user gave a value that is not empty.
func (i *Info) given(keyword string) bool {
	return i.text(keyword) != "" && i.source(keyword) > FromDefaults
}

// Value is the value of a keyword and where it comes from.
func (i *Info) Value(keyword string) (string, Source) { return i.text(keyword), i.source(keyword) }

// Warnings are what the user should know about, a line each: a password file that is
// not used, because of its permissions.
func (i *Info) Warnings() []string { return slices.Clone(i.warnings) }

// HasPassword reports whether there is a password for one of the servers.
func (i *Info) HasPassword() bool {
	return slices.ContainsFunc(i.servers, func(s server) bool { return s.password != "" })
}

// WithPassword is a copy with a password for all servers, from the user.
func (i *Info) WithPassword(password string) *Info {
	c := *i
	c.values = map[string]value{"password": {password, FromProgram}}
	for name, v := range i.values {
		if name != "password" {
			c.values[name] = v
		}
	}
	c.servers = slices.Clone(i.servers)
	for n := range c.servers {
		c.servers[n].password = password
	}
	return &c
}

// check looks at every value.
func (i *Info) check() error {
	for _, k := range keywords {
		v, has := i.values[k.Name]
		if !has {
			continue
		}
		if err := k.checkValue(v.text); err != nil {
			return fmt.Errorf("connection option %q%s %w", k.Name, v.source.of(k), err)
		}
	}
	return i.checkCombinations()
}

func (k *Keyword) checkValue(text string) error {
	switch {
	case k.Effect == Refused && text != "":
		return errUnsupported
	case k.check == nil:
		return nil
	}
	return k.check(text)
}

// of says in messages where a value comes from, if that is not obvious.
func (s Source) of(k Keyword) string {
	switch s {
	case FromEnvironment:
		return " (" + k.Variable + ")"
	case FromService:
		return " (of the service file)"
	}
	return ""
}

// checkCombinations refuses what libpq refuses together.
func (i *Info) checkCombinations() error {
	mode := i.text("sslmode")
	switch {
	case i.text("sslrootcert") == "system" && mode != "verify-full":
		return fmt.Errorf("weak sslmode %q cannot be used with sslrootcert=system (use %q)", mode, "verify-full")
	case i.text("sslnegotiation") == "direct" && (mode == "disable" || mode == "allow" || mode == "prefer"):
		return fmt.Errorf("weak sslmode %q cannot be used with sslnegotiation=direct (use %q, %q or %q)", mode, "require", "verify-ca", "verify-full")
	}
	if low, high := tlsVersion(i.text("ssl_min_protocol_version")), tlsVersion(i.text("ssl_max_protocol_version")); high != 0 && low > high {
		return fmt.Errorf("invalid range of TLS protocol versions: %s to %s", i.text("ssl_min_protocol_version"), i.text("ssl_max_protocol_version"))
	}
	if i.text("min_protocol_version") > i.maxProtocolVersion() {
		return fmt.Errorf("min_protocol_version %s is above max_protocol_version %s", i.text("min_protocol_version"), i.maxProtocolVersion())
	}
	return nil
}
