package auth

import (
	"net"
	"net/netip"
	"regexp"
	"slices"

	"github.com/pgparallel/pgparallel/walsender"
)

// rule is a line of the file of rules.
type rule struct {
	line       int
	connection string // local, host, hostssl or hostnossl
	users      []userPattern
	addresses  addressPattern // of a local rule: none
	method     string
	options
}

// options are what stands behind the method.
type options struct {
	usermap    string // map=
	clientCert string // clientcert=: verify-ca, verify-full; empty: not asked for
	clientName string // clientname=: CN or DN
	insecure   bool   // insecure=1
	grant      walsender.Grant
}

// The methods.
const (
	methodSCRAM     = "scram-sha-256"
	methodSCRAMPlus = "scram-sha-256-plus"
	methodCert      = "cert"
	methodPeer      = "peer"
	methodTrust     = "trust"
	methodReject    = "reject"
)

// matches reports whether the rule is for this connection.
func (r *rule) matches(h *walsender.Handshake, users *userList) bool {
	address, isTCP := remoteAddress(h.Remote)
	switch {
	case (r.connection == "local") == isTCP,
		r.connection == "hostssl" && h.TLS == nil,
		r.connection == "hostnossl" && h.TLS != nil,
		isTCP && !r.addresses.contain(address):
		return false
	}
	return slices.ContainsFunc(r.users, func(p userPattern) bool { return p.matches(h.User, users) })
}

// hasUsers reports whether the rule can be for anybody.
func (r *rule) hasUsers(users *userList) bool {
	return slices.ContainsFunc(r.users, func(p userPattern) bool { return p.group == "" || users.hasGroup(p.group) })
}

// remoteAddress is the address of a peer that is on the network. Every other peer
// counts as one of a Unix socket.
func remoteAddress(remote net.Addr) (netip.Addr, bool) {
	tcp, ok := remote.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}, false
	}
	address, _ := netip.AddrFromSlice(tcp.IP)
	return address.Unmap(), true
}

// userPattern is one of the users of a rule, or of a map's last column.
type userPattern struct {
	all        bool
	group      string         // +group
	expression *regexp.Regexp // /expression
	name       string         // where none of the others is set
}

func (p userPattern) matches(user string, users *userList) bool {
	switch {
	case p.all:
		return true
	case p.group != "":
		return users.isMember(user, p.group)
	case p.expression != nil:
		return p.expression.MatchString(user)
	}
	return p.name == user
}

// addressPattern is the address of a rule.
type addressPattern struct {
	all      bool
	sameHost bool // one of this machine's own addresses
	sameNet  bool // one in a network that this machine is in
	prefix   netip.Prefix
}

func (p addressPattern) contain(address netip.Addr) bool {
	switch {
	case p.all:
		return true
	case p.sameHost, p.sameNet:
		return slices.ContainsFunc(ownNetworks(), func(own netip.Prefix) bool {
			return p.sameNet && own.Contains(address) || own.Addr() == address
		})
	}
	return p.prefix.Contains(address.WithZone(""))
}

// isLocal reports whether the pattern takes nobody in who is not on this machine.
func (p addressPattern) isLocal() bool {
	loopback := slices.ContainsFunc(loopbacks, func(l netip.Prefix) bool {
		return l.Bits() <= p.prefix.Bits() && l.Contains(p.prefix.Addr())
	})
	return p.sameHost || !p.all && !p.sameNet && loopback
}

var loopbacks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// ownNetworks are this machine's addresses as they are now, with the length of the
// network that each is in.
func ownNetworks() []netip.Prefix {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil // then nobody is let in by them
	}
	var networks []netip.Prefix
	for _, a := range addresses {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			networks = append(networks, prefix)
		}
	}
	return networks
}
