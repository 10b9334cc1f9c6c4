package passthrough

import (
	"strings"
	"testing"

	"github.com/pgparallel/pgparallel/protocol"
)

// TestCheckTarget lets a BASE_BACKUP pass that writes to the client, or nowhere.
func TestCheckTarget(t *testing.T) {
	for _, text := range []string{
		"IDENTIFY_SYSTEM",
		"BASE_BACKUP",
		"BASE_BACKUP LABEL 'x' PROGRESS FAST NOWAIT MAX_RATE 32 TABLESPACE_MAP;",
		"BASE_BACKUP ( LABEL 'pg_basebackup base backup',  PROGRESS,  CHECKPOINT 'fast',  MANIFEST 'yes',  TARGET 'client')",
		"BASE_BACKUP (TARGET client)",
		"BASE_BACKUP ( TARGET 'blackhole')",
		"BASE_BACKUP (target BLACKHOLE)",
		"BASE_BACKUP (TARGET CLIENT)",
		`BASE_BACKUP ("target" "client")`,
		"BASE_BACKUP (LABEL 'TARGET ''server''')",
		"BASE_BACKUP (LABEL 'it''s', target 'client', WAIT 0)",
		"CREATE_REPLICATION_SLOT target PHYSICAL",
		"SELECT 'target server'",
	} {
		if err := checkTarget(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for text, code := range map[string]string{
		"BASE_BACKUP ( TARGET 'server', TARGET_DETAIL '/x')":        protocol.CodeFeatureNotSupported,
		"BASE_BACKUP ( TARGET 'Blackhole')":                         protocol.CodeFeatureNotSupported,
		"BASE_BACKUP(target server)":                                protocol.CodeFeatureNotSupported,
		"\n\vBASE_BACKUP\t(\fTaRgEt\r'server')":                     protocol.CodeFeatureNotSupported,
		`BASE_BACKUP ("target" 'server')`:                           protocol.CodeFeatureNotSupported,
		`BASE_BACKUP ("TARGET" "Client")`:                           protocol.CodeFeatureNotSupported,
		"BASE_BACKUP (TARGET 'CLIENT')":                             protocol.CodeFeatureNotSupported,
		"BASE_BACKUP (TARGET)":                                      protocol.CodeFeatureNotSupported,
		"BASE_BACKUP (TARGET":                                       protocol.CodeFeatureNotSupported,
		"BASE_BACKUP (TARGET 'client', TARGET 'server')":            protocol.CodeFeatureNotSupported,
		"BASE_BACKUP (LABEL 'x'TARGET 'server')":                    protocol.CodeFeatureNotSupported,
		"BASE_BACKUP (MAX_RATE 32TARGET 'server')":                  protocol.CodeFeatureNotSupported,
		"BASE_BACKUP (LABEL 'it''s', TARGET 'server')":              protocol.CodeFeatureNotSupported,
		"BASE_BACKUP (LABEL 'back\\', TARGET 'server', LABEL 'x')":  protocol.CodeFeatureNotSupported,
		"base_backup (TARGET 'server')":                             protocol.CodeFeatureNotSupported,
		"BASE_BACKUP (LABEL 'x, TARGET ''server'')":                 protocol.CodeSyntaxError,
		`BASE_BACKUP (LABEL "x, TARGET 'client')`:                   protocol.CodeSyntaxError,
		"BASE_BACKUP (LABEL /* 'x' */ 'TARGET', TARGET * 'client')": protocol.CodeSyntaxError,
		"BASE_BACKUP (LABEL $$x$$, TARGET 'client')":                protocol.CodeSyntaxError,
		"?BASE_BACKUP": protocol.CodeSyntaxError,
	} {
		if err := checkTarget(text); !protocol.HasCode(err, code) {
			t.Errorf("%s: %v, want SQLSTATE %s", text, err, code)
		}
	}
}

// FuzzCheckTarget holds the check against a rule that needs no lexer: a text without
// the word is never refused for its target, and one that is let through names a target
// outside of quotes only with the client behind it.
func FuzzCheckTarget(f *testing.F) {
	for _, text := range []string{"BASE_BACKUP (TARGET 'server')", "BASE_BACKUP (LABEL 'TARGET', TARGET client)", "BASE_BACKUP \"a\"\"b\""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		err := checkTarget(text)
		refused := protocol.HasCode(err, protocol.CodeFeatureNotSupported)
		lower := strings.ToLower(text)
		if refused && !strings.Contains(lower, "target") {
			t.Errorf("%q is refused", text)
		}
		quoted := strings.ContainsAny(text, `'"`)
		if err == nil && !quoted && strings.HasPrefix(lower, "base_backup (target ") && !strings.HasPrefix(lower, "base_backup (target client") &&
			!strings.HasPrefix(lower, "base_backup (target blackhole") {
			t.Errorf("%q is let through", text)
		}
	})
}
