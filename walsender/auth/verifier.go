package auth

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/xdg-go/stringprep"
)

// DefaultIterations is scram_iterations of PostgreSQL unless configured.
const DefaultIterations = 4096

// saltLength is that of PostgreSQL's salts, in bytes (SCRAM_DEFAULT_SALT_LEN).
const saltLength = 16

// Verifier is what a server knows of a password (RFC 5802, section 3): enough to check
// it, not enough to log in with it. Its text is PostgreSQL's, as in pg_authid.rolpassword:
//
//	SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey
type Verifier struct {
	Iterations int    // of PBKDF2, 1 at least
	Salt       []byte // not empty
	StoredKey  []byte // 32 bytes
	ServerKey  []byte // 32 bytes
}

// errMD5 is the error of an MD5 password.
var errMD5 = errors.New("the password is stored as MD5, which is not supported: set it anew")

// ParseVerifier reads the text of a verifier. The error does not show the text, which
// may be a password.
func ParseVerifier(text string) (Verifier, error) {
	if strings.HasPrefix(text, "md5") && len(text) == len("md5")+32 {
		return Verifier{}, errMD5
	}
	rest, isSCRAM := strings.CutPrefix(text, "SCRAM-SHA-256$")
	parameters, keys, hasKeys := strings.Cut(rest, "$")
	iterations, salt, hasSalt := strings.Cut(parameters, ":")
	stored, server, hasServer := strings.Cut(keys, ":")
	if !isSCRAM || !hasKeys || !hasSalt || !hasServer {
		return Verifier{}, errors.New("not a SCRAM-SHA-256 verifier")
	}
	var v Verifier
	var err error
	if v.Iterations, err = strconv.Atoi(iterations); err != nil || v.Iterations < 1 || v.Iterations > math.MaxInt32 {
		return Verifier{}, errors.New("invalid number of iterations in a SCRAM-SHA-256 verifier")
	}
	for _, part := range []struct {
		into   *[]byte
		text   string
		length int
	}{{&v.Salt, salt, 0}, {&v.StoredKey, stored, sha256.Size}, {&v.ServerKey, server, sha256.Size}} {
		*part.into, err = base64.StdEncoding.Strict().DecodeString(part.text)
		if err != nil || len(*part.into) == 0 || part.length > 0 && len(*part.into) != part.length {
			return Verifier{}, errors.New("invalid salt or key in a SCRAM-SHA-256 verifier")
		}
	}
	return v, nil
}

// String is the text of the verifier, a secret.
func (v Verifier) String() string {
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", v.Iterations, encode(v.Salt), encode(v.StoredKey), encode(v.ServerKey))
}

// NewVerifier makes the verifier of a password, with a random salt. 0 iterations and
// less mean [DefaultIterations]. The password must not be empty, as in PostgreSQL.
func NewVerifier(password string, iterations int) (Verifier, error) {
	salt := make([]byte, saltLength)
	if _, err := rand.Read(salt); err != nil {
		return Verifier{}, fmt.Errorf("making a salt: %w", err)
	}
	if iterations <= 0 {
		iterations = DefaultIterations
	}
	return newVerifier(password, iterations, salt)
}

func newVerifier(password string, iterations int, salt []byte) (Verifier, error) {
	if password == "" {
		return Verifier{}, errors.New("the password is empty")
	}
	salted, err := pbkdf2.Key(sha256.New, prepare(password), salt, iterations, sha256.Size)
	if err != nil {
		return Verifier{}, fmt.Errorf("making a verifier: %w", err)
	}
	stored := sha256.Sum256(sign(salted, "Client Key"))
	return Verifier{Iterations: iterations, Salt: salt, StoredKey: stored[:], ServerKey: sign(salted, "Server Key")}, nil
}

// prepare normalizes a password as PostgreSQL does (pg_saslprep): one that SASLprep
// refuses stays as it is. The zero width space is in two of SASLprep's tables: PostgreSQL
// makes it a space, the library nothing.
func prepare(password string) string {
	spaced := strings.ReplaceAll(password, "\u200b", " ")
	if prepared, err := stringprep.SASLprep.Prepare(spaced); err == nil && prepared != "" {
		return prepared
	}
	return password
}

func sign(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}
