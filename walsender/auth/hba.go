package auth

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/pgparallel/pgparallel/walsender"
)

// hbaParser reads a file of rules.
type hbaParser struct {
	config *Config
	users  *userList
	maps   identMaps
	wrong  *problems
	now    int // the line
}

func (p *hbaParser) errorf(format string, args ...any) { p.wrong.add(p.now, format, args...) }

// parse reads the rules, and tells the lines that fit nobody.
func (p *hbaParser) parse(text []byte) (rules []rule, ignored []int) {
	for _, l := range splitLines(text, p.wrong) {
		p.now = l.number
		before := len(p.wrong.list)
		r, ours := p.rule(l)
		switch {
		case len(p.wrong.list) > before:
		case !ours:
			ignored = append(ignored, l.number)
		default:
			rules = append(rules, r)
			if !r.hasUsers(p.users) {
				ignored = append(ignored, l.number)
			}
		}
	}
	return rules, ignored
}

// rule reads a line. It reports false for one that is not for replication.
func (p *hbaParser) rule(l line) (r rule, ours bool) {
	r.line = l.number
	rest := l.fields
	next := func(what string) field {
		if len(rest) == 0 {
			p.errorf("end of line before %s", what)
			return nil
		}
		f := rest[0]
		rest = rest[1:]
		return f
	}
	if r.connection = p.one(next("connection type")); !p.isConnection(r.connection) {
		return r, false
	}
	if !slices.ContainsFunc(next("database"), func(t token) bool { return t.is("replication") }) {
		return r, false
	}
	if r.users = p.userPatterns(next("role")); r.users == nil {
		return r, true
	}
	if r.connection != "local" {
		address := next("address")
		if address == nil {
			return r, true
		}
		var mask field
		if needsMask(address) {
			mask = next("netmask")
		}
		if r.addresses, ours = p.address(address, mask); !ours {
			return r, true
		}
	}
	if r.method = p.one(next("authentication method")); r.method == "" {
		return r, true
	}
	p.options(&r, rest)
	p.checkMethod(&r)
	return r, true
}

// one is the word of a field that has one.
func (p *hbaParser) one(f field) string {
	switch {
	case f == nil:
		return ""
	case len(f) > 1:
		p.errorf("multiple values in %q, where one is allowed", f)
		return ""
	}
	return f[0].text
}

func (p *hbaParser) isConnection(word string) bool {
	switch word {
	case "local", "host":
		return true
	case "hostssl":
		if !p.config.TLS {
			p.errorf("hostssl record cannot match because TLS is not configured")
		}
		return true
	case "hostnossl", "hostnogssenc":
		return true
	case "hostgssenc":
		p.errorf("hostgssenc record cannot match because GSSAPI is not supported")
	case "include", "include_if_exists", "include_dir":
		p.errorf("%s is not supported", word)
	case "":
	default:
		p.errorf("invalid connection type %q", word)
	}
	return false
}

func (p *hbaParser) userPatterns(f field) []userPattern {
	var patterns []userPattern
	for _, t := range f {
		if pattern, ok := p.userPattern(t); ok {
			patterns = append(patterns, pattern)
		}
	}
	return patterns
}

func (p *hbaParser) userPattern(t token) (pattern userPattern, ok bool) {
	if group, is := t.group(); is { // without members it fits nobody: its last one may have left
		return userPattern{group: group}, true
	}
	if text, is := t.expression(); is {
		expression, err := regexp.Compile(text)
		if err != nil {
			p.errorf("invalid regular expression %q: %v", text, err)
			return pattern, false
		}
		return userPattern{expression: expression}, true
	}
	if file, is := strings.CutPrefix(t.text, "@"); is && !t.quoted {
		p.errorf("a list of users in a file (@%s) is not supported: use a +group of the users file", file)
		return pattern, false
	}
	return userPattern{all: t.is("all"), name: t.text}, true
}

// needsMask reports whether the field behind the address is a mask.
func needsMask(f field) bool {
	_, err := netip.ParseAddr(f.String())
	return err == nil
}

// address reads an address, and its mask where that is a field of its own.
func (p *hbaParser) address(f, mask field) (a addressPattern, ok bool) {
	if len(f) > 1 {
		p.errorf("multiple values in %q, where one is allowed", f)
		return a, false
	}
	switch t := f[0]; {
	case t.is("all"):
		return addressPattern{all: true}, true
	case t.is("samehost"):
		return addressPattern{sameHost: true}, true
	case t.is("samenet"):
		return addressPattern{sameNet: true}, true
	case mask != nil:
		return p.masked(t.text, mask.String())
	case !strings.Contains(t.text, "/"):
		p.errorf("invalid address %q: host names are not supported", t.text)
		return a, false
	}
	prefix, err := netip.ParsePrefix(f[0].text)
	if err != nil {
		p.errorf("invalid CIDR mask in address %q", f[0].text)
		return a, false
	}
	return addressPattern{prefix: prefix.Masked()}, true
}

func (p *hbaParser) masked(text, mask string) (a addressPattern, ok bool) {
	address, _ := netip.ParseAddr(text)
	m, err := netip.ParseAddr(mask)
	if err != nil || m.Is4() != address.Is4() {
		p.errorf("invalid IP mask %q", mask)
		return a, false
	}
	bits, ended := 0, false
	for _, b := range m.AsSlice() {
		for bit := byte(0x80); bit != 0; bit >>= 1 {
			set := b&bit != 0
			if set && ended {
				p.errorf("invalid IP mask %q: it has holes", mask)
				return a, false
			}
			ended = ended || !set
			if set {
				bits++
			}
		}
	}
	prefix, _ := address.Prefix(bits)
	return addressPattern{prefix: prefix}, true
}

// options reads name=value pairs.
func (p *hbaParser) options(r *rule, fields []field) {
	r.grant = walsender.Grant{Backup: true, PassThrough: true}
	for _, f := range fields {
		for _, t := range f {
			name, value, found := strings.Cut(t.text, "=")
			if !found {
				p.errorf("authentication option not in name=value format: %s", t.text)
				continue
			}
			p.option(r, name, value)
		}
	}
}

func (p *hbaParser) option(r *rule, name, value string) {
	invalid := func() { p.errorf("invalid value for %s: %q", name, value) }
	flag := func(set *bool) {
		if *set = value == "1"; value != "0" && value != "1" {
			invalid()
		}
	}
	switch name {
	case "map":
		r.usermap = value
	case "clientcert":
		if r.clientCert = value; value != "verify-ca" && value != "verify-full" {
			invalid()
		}
	case "clientname":
		if r.clientName = value; value != "CN" && value != "DN" {
			invalid()
		}
	case "commands":
		r.grant.Backup, r.grant.PassThrough = value != "passthrough", value != "backup"
		if !slices.Contains([]string{"all", "backup", "passthrough"}, value) {
			invalid()
		}
	case "monitor":
		flag(&r.grant.Monitor)
	case "insecure":
		flag(&r.insecure)
	default:
		p.errorf("unrecognized authentication option name: %q", name)
	}
}

// checkMethod refuses a method that is not there, or cannot work in this line.
func (p *hbaParser) checkMethod(r *rule) {
	switch r.method {
	case methodReject, methodTrust, methodCert, methodPeer, methodSCRAM, methodSCRAMPlus:
	case "md5", "password":
		p.errorf("authentication method %q is not supported: write scram-sha-256, and set passwords anew that were stored as MD5", r.method)
	default:
		p.errorf("invalid authentication method %q", r.method)
	}
	if r.method == methodPeer && r.connection != "local" {
		p.errorf("peer authentication is only supported on local sockets")
	}
	p.checkPasswords(r)
	if r.method == methodTrust && r.connection != "local" && !r.addresses.isLocal() && !r.insecure {
		p.errorf("trust lets everybody in who can send packets from these addresses: say insecure=1 behind it if that is meant")
	}
	if r.insecure && r.method != methodTrust {
		p.errorf("insecure is an option of trust")
	}
	p.checkTLS(r)
	p.checkIdentity(r)
}

// checkPasswords refuses a method for which there are no passwords.
func (p *hbaParser) checkPasswords(r *rule) {
	switch {
	case !strings.HasPrefix(r.method, methodSCRAM), p.config.Users != "", p.config.Lookup != nil:
	case p.config.PassThrough == nil:
		p.errorf("%s needs passwords, and none are configured", r.method)
	case r.method == methodSCRAMPlus:
		p.errorf("%s needs passwords of this server's own: the exchange cannot be handed through to PostgreSQL with channel binding", r.method)
	}
}

// checkTLS refuses what needs TLS in a line that may be without, or without an authority.
func (p *hbaParser) checkTLS(r *rule) {
	if r.connection != "hostssl" {
		switch {
		case r.method == methodCert:
			p.errorf("cert authentication is only supported on hostssl connections")
		case r.method == methodSCRAMPlus:
			p.errorf("channel binding is only supported on hostssl connections")
		case r.clientCert != "":
			p.errorf(`clientcert can only be configured for "hostssl" rows`)
		}
	}
	if (r.method == methodCert || r.clientCert != "") && p.config.TLS && !p.config.ClientCA {
		p.errorf("client certificates can only be checked if a root certificate store is available")
	}
}

// checkIdentity refuses options about a name that the method does not bring.
func (p *hbaParser) checkIdentity(r *rule) {
	if r.method == methodCert && r.clientCert == "verify-ca" {
		p.errorf(`clientcert only accepts "verify-full" when using "cert" authentication`)
	}
	if r.clientName != "" && r.method != methodCert && r.clientCert == "" {
		p.errorf(`clientname can only be configured for "hostssl" rows with clientcert or the method cert`)
	}
	if r.usermap == "" {
		return
	}
	if r.method != methodCert && r.method != methodPeer && r.clientCert != "verify-full" {
		p.errorf(`authentication option "map" is only valid for authentication methods peer and cert`)
	} else if _, known := p.maps[r.usermap]; !known {
		p.errorf("there is no map %q", r.usermap)
	}
}
