package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// completions are command lines, and what their last words may become.
var completions = []struct {
	line string
	want []string
}{
	{"pgparallel pas", []string{"passwd"}},
	{"pgparallel co", []string{"conform", "completion"}},
	{"pgparallel serve --log-", []string{"--log-format", "--log-level"}},
	{"pgparallel serve --log-level=", []string{"debug", "info", "warning", "error"}},
	{"pgparallel backup -X ", []string{"none", "fetch", "stream"}},
	{"pgparallel backup --manifest-checksums=SHA2", []string{"SHA224", "SHA256"}},
	{"pgparallel backup -P --checkpoint=f", []string{"fast"}},
	{"pgparallel verify ", []string{"one"}},
	{"pgparallel backup -D o", []string{"one"}},
	{"pgparallel serve --hba=", []string{"hba", "one"}},
	{"pgparallel help st", []string{"status"}},
	{"pgparallel completion ", []string{"bash", "zsh", "fish"}},
	{"pgparallel backup -l ", nil},
}

// shells read the script and print what it completes at the end of each line, one a line,
// with END behind.
var shells = map[string]string{
	// The words are cut as readline cuts them.
	"bash": `source "$1"
for line in "${@:2}"; do
    words=${line//=/ = }
    read -ra COMP_WORDS <<<"$words"
    [[ $line == *' ' ]] && COMP_WORDS+=('')
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _pgparallel
    printf '%s\n' "${COMPREPLY[@]}" END
done`,
	// The words go to a file: the terminal shows them in columns. It also shows what is typed,
	// in which READY must not occur.
	"zsh": `zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "autoload -Uz compinit; compinit -u -D; source ${(q)1}
compadd() { local -a hits; builtin compadd -A hits \"\$@\"; print -rl -- \$hits >>${(q)1}.out; builtin compadd \"\$@\" }
complete-and-clear() { zle complete-word; print END >>${(q)1}.out; BUFFER=; print RE''ADY }
zle -N complete-and-clear; bindkey '^I' complete-and-clear"
for line in "${@:2}"; do
    zpty -w -n shell "$line"$'\t'
    zpty -r -m shell shown '*READY*'
done
zpty -d shell
cat $1.out`,
	"fish": `source $argv[1]
for line in $argv[2..]
    complete -C $line | cut -f1
    echo END
end`,
}

// TestCompletion has each shell complete command lines, where the shell is installed, in a
// directory that has a file and a directory.
func TestCompletion(t *testing.T) {
	t.Parallel()
	for shell, program := range shells {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(shell); err != nil {
				t.Skipf("%s is not installed", shell)
			}
			script, err := completionScript(shell)
			if err != nil {
				t.Fatal(err)
			}
			dir, file := t.TempDir(), filepath.Join(t.TempDir(), "pgparallel")
			writeText(t, file, script)
			writeText(t, filepath.Join(dir, "hba"), "")
			if err := os.Mkdir(filepath.Join(dir, "one"), 0o700); err != nil {
				t.Fatal(err)
			}
			args := []string{"-c", program, shell, file}
			if shell == "fish" {
				args = slices.Delete(args, 2, 3) // fish has no $0 there
			}
			for _, c := range completions {
				args = append(args, c.line)
			}
			cmd := exec.Command(shell, args...)
			cmd.Dir, cmd.Env = dir, append(os.Environ(), "HOME="+t.TempDir(), "TERM=dumb")
			output, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			answers := strings.Split(strings.TrimSuffix(string(output), "END\n"), "END\n")
			if len(answers) != len(completions) {
				t.Fatalf("%d answers: %q", len(answers), answers)
			}
			for i, c := range completions {
				if diff := cmp.Diff(slices.Sorted(slices.Values(c.want)), completedWords(answers[i])); diff != "" {
					t.Errorf("%q (-want +got):\n%s", c.line, diff)
				}
			}
		})
	}
}

// completedWords are the words that a shell has printed, without what some of them put
// before or behind a word: --option=, the = that a value follows, the / of a directory.
func completedWords(output string) []string {
	var words []string
	for word := range strings.Lines(output) {
		word = strings.TrimRight(word, "\n/=")
		if _, value, found := strings.Cut(word, "="); found {
			word = value
		}
		if word != "" {
			words = append(words, word)
		}
	}
	slices.Sort(words)
	return slices.Compact(words)
}

func writeText(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
