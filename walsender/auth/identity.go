package auth

import (
	"fmt"
	"os/user"
	"strconv"

	"github.com/pgparallel/pgparallel/protocol"
	"github.com/pgparallel/pgparallel/walsender"
)

// peer lets in who is that user of the system, or is mapped to the role.
func (p *policy) peer(r *rule, h *walsender.Handshake) (identity string, err error) {
	refused := protocol.Fatalf(protocol.CodeInvalidAuthorization, "Peer authentication failed for user %q", h.User)
	uid, err := h.PeerUID()
	if err != nil {
		return "", fmt.Errorf("%w: could not get peer credentials: %w", refused, err)
	}
	account, err := user.LookupId(strconv.FormatUint(uint64(uid), 10))
	if err != nil {
		return "", fmt.Errorf("%w: %w", refused, err)
	}
	return account.Username, p.mapped(r, account.Username, h.User, refused)
}

// certificate lets in whom the client's certificate names, or who is mapped to the role.
func (p *policy) certificate(r *rule, h *walsender.Handshake) (identity string, err error) {
	refused := protocol.Fatalf(protocol.CodeInvalidAuthorization, "certificate authentication failed for user %q", h.User)
	leaf := h.TLS.VerifiedChains[0][0]
	if r.clientName == "DN" {
		identity, err = distinguishedName(leaf)
	} else {
		identity, err = commonName(leaf)
	}
	if err != nil {
		return "", fmt.Errorf("%w: %w", refused, err)
	}
	return identity, p.mapped(r, identity, h.User, refused)
}

// mapped refuses an identity that is not, and may not be, the role.
func (p *policy) mapped(r *rule, identity, role string, refused *protocol.Error) error {
	switch {
	case p.maps.allows(r.usermap, identity, role, p.users):
		return nil
	case r.usermap == "":
		return fmt.Errorf("%w: provided user name (%s) and authenticated user name (%s) do not match", refused, role, identity)
	}
	return fmt.Errorf("%w: no match in usermap %q for user %q authenticated as %q", refused, r.usermap, role, identity)
}
