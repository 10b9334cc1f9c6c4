package auth_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pgparallel/pgparallel/walsender"
	"github.com/pgparallel/pgparallel/walsender/auth"
)

// TestSCRAM_1_10_Pgconn connects pgconn by every kind of certificate, with and without
// channel binding.
func TestSCRAM_1_10_Pgconn(t *testing.T) {
	users := userLines(t, []string{"backup", "sécret ü"})
	for _, algorithm := range []x509.SignatureAlgorithm{
		x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA, x509.SHA256WithRSAPSS, x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.PureEd25519,
	} {
		t.Run(algorithm.String(), func(t *testing.T) {
			a := newAuthority(t, algorithm)
			server := func(hba string) string {
				addr := serve(t, &walsender.Server{TLSConfig: a.serverTLS(t), Authenticator: open(t, hba, users, "")})
				return fmt.Sprintf("host=127.0.0.1 port=%d user=backup password='sécret ü' replication=true sslmode=verify-full sslrootcert=%s ", addr.Port, a.file(t))
			}
			binds := algorithm != x509.PureEd25519
			text := server("hostssl replication all 127.0.0.1/32 scram-sha-256\n")
			for options, ok := range map[string]bool{
				"channel_binding=disable": true,
				"channel_binding=prefer":  true,
				"channel_binding=require": binds,
			} {
				if err := connect(t, text+options); (err == nil) != ok {
					t.Errorf("%s: %v", options, err)
				}
			}
			text = server("hostssl replication all 127.0.0.1/32 scram-sha-256-plus\n")
			for options, ok := range map[string]bool{"channel_binding=disable": false, "channel_binding=require": binds} {
				if err := connect(t, text+options); (err == nil) != ok {
					t.Errorf("%s: %v", options, err)
				}
			}
		})
	}
}

// TestSCRAM_1_10_Refused gives the same answer to a wrong password, an unknown role, a
// role without a password and one whose password is of another kind.
func TestSCRAM_1_10_Refused(t *testing.T) {
	users := userLines(t, []string{"backup", "secret"}) + "\"none\" \"\"\n"
	config := auth.Config{
		HBA: write(t, "hba.conf", "host replication all all scram-sha-256\n"), Users: write(t, "users.txt", users),
		Lookup: func(_ context.Context, role string) (string, int, error) {
			switch role {
			case "old":
				return "md5" + strings.Repeat("0", 32), 0, nil
			case "broken":
				return "", 0, errors.New("no connection")
			}
			return "", 0, nil
		},
	}
	a, err := auth.Open(config)
	must(t, err)
	addr := serve(t, &walsender.Server{Authenticator: a})
	for _, role := range []string{"backup", "none", "nobody", "old"} {
		err := connect(t, fmt.Sprintf("host=127.0.0.1 port=%d user=%s password=wrong replication=true sslmode=disable", addr.Port, role))
		want := fmt.Sprintf("password authentication failed for user %q", role)
		if refused, ok := errors.AsType[*pgconn.PgError](err); !ok || refused.Severity != "FATAL" || refused.Code != "28P01" || refused.Message != want {
			t.Errorf("%s: %v", role, err)
		}
	}
	err = connect(t, fmt.Sprintf("host=127.0.0.1 port=%d user=broken password=wrong replication=true sslmode=disable", addr.Port))
	if err == nil || !strings.Contains(err.Error(), "57P03") || strings.Contains(err.Error(), "no connection") {
		t.Errorf("where nobody can be asked for the password: %v", err)
	}
}
