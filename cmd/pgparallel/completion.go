package main

import (
	"embed"
	"fmt"
	"slices"
	"strings"
	"text/template"

	"github.com/alecthomas/kong"
)

const completionUsage = `pgparallel completion writes what completes a command line in a shell.

Usage:
  pgparallel completion bash|zsh|fish

Options:
  -V, --version  output version information, then exit
  -?, --help     show this help, then exit

Examples:
  source <(pgparallel completion bash)
          try it in bash; in zsh with zsh
  pgparallel completion fish | source
          try it in fish

The packages, and make install, put it where the shells look for it.
`

type completionCommand struct {
	Shell string `arg:"" optional:""`
}

func (*completionCommand) usage() string { return completionUsage }

//go:embed completion
var completionTemplates embed.FS

func (c *completionCommand) run(out *console) error {
	switch c.Shell {
	case "bash", "zsh", "fish":
	case "":
		return usagef("no shell specified: bash, zsh or fish")
	default:
		return usagef("invalid shell %q, must be bash, zsh or fish", c.Shell)
	}
	script, err := completionScript(c.Shell)
	if err == nil {
		out.print(script)
	}
	return err
}

// completionScript is what completes a command line in a shell, in the shell's language.
func completionScript(shell string) (string, error) {
	commands, err := completedCommands()
	if err != nil {
		return "", err
	}
	text := template.New(shell + ".tmpl").Funcs(completionFuncs)
	if text, err = text.ParseFS(completionTemplates, "completion/"+text.Name()); err != nil {
		return "", err
	}
	var script strings.Builder
	err = text.Execute(&script, commands)
	return script.String(), err
}

// completedCommand is what the templates are told of a command.
type completedCommand struct {
	Name, Text string
	Options    []completedOption
	Operand    completedOption // with a kind and choices only; no kind if there is none
}

// completedOption is what the templates are told of an option.
type completedOption struct {
	Short, Long string
	Value       string // what the help calls it
	Text        string
	Kind        valueKind
	Choices     []string
	Repeats     bool // whether it may be given several times
}

// completedCommands are all commands, in the order of the help.
func completedCommands() ([]completedCommand, error) {
	parser, err := newParser(&commandLine{})
	if err != nil {
		return nil, err
	}
	var commands []completedCommand
	names := []string{}
	for _, node := range parser.Model.Children {
		if !node.Hidden {
			commands = append(commands, completed(node))
			names = append(names, node.Name)
		}
	}
	return append(commands,
		completedCommand{Name: "help", Text: purpose("help"), Operand: completedOption{Value: "COMMAND", Kind: chosenValue, Choices: names}},
		completedCommand{Name: "version", Text: purpose("version")}), nil
}

func completed(node *kong.Node) completedCommand {
	page := parseHelp(node.Target.Addr().Interface().(command).usage())
	c := completedCommand{Name: node.Name, Text: purpose(node.Name), Operand: operand(page)}
	for _, item := range page.options() {
		o := completedOption{
			Short: item.option.short, Long: item.option.long, Value: item.option.value,
			Text: briefly(item.text()), Kind: item.valueKind(), Choices: item.choices(),
		}
		o.Repeats = slices.ContainsFunc(node.Flags, func(f *kong.Flag) bool { return f.Name == o.Long && f.IsSlice() })
		c.Options = append(c.Options, o)
	}
	return c
}

// operand is what comes first behind the options, where it can be completed.
func operand(page helpPage) completedOption {
	for _, block := range page {
		if block.title != titleUsage {
			continue
		}
		words := strings.Fields(block.items[0].text())
		item := helpItem{option: &helpOption{value: strings.Trim(words[len(words)-1], "[].")}}
		if kind := item.valueKind(); kind != anyValue {
			return completedOption{Value: item.option.value, Kind: kind, Choices: item.choices()}
		}
	}
	return completedOption{}
}

// briefly is the beginning of a text, for a line in a menu. A list of values is left whole.
func briefly(text string) string {
	if strings.HasPrefix(text, `"`) {
		return text
	}
	for _, end := range []string{"; ", ". ", " ("} {
		text, _, _ = strings.Cut(text, end)
	}
	return text
}

var completionFuncs = template.FuncMap{
	"quote": func(parts ...string) string {
		return "'" + strings.ReplaceAll(strings.Join(parts, ""), "'", `'\''`) + "'"
	},
	"words":     func(words []string) string { return strings.Join(words, " ") },
	"bracketed": strings.NewReplacer("[", `\[`, "]", `\]`, ":", `\:`).Replace,
	"joined":    completedOption.joined,
	"exclusive": completedOption.exclusive,
	"action":    completedOption.action,
}

// joined is the sign by which zsh is told that a value follows, nothing where none does.
func (o completedOption) joined(sign string) string {
	if o.Kind == noValue {
		return ""
	}
	return sign
}

// exclusive tells zsh what excludes what: both names of an option, and everything else
// where the command then shows something and ends.
func (o completedOption) exclusive() string {
	switch {
	case o.Repeats:
		return "*"
	case o.Long == "help" || o.Long == "version":
		return "(- *)"
	}
	return fmt.Sprintf("(-%s --%s)", o.Short, o.Long)
}

// action is how zsh completes the value.
func (o completedOption) action() string {
	switch o.Kind {
	case fileValue:
		return "_files"
	case directoryValue:
		return "_files -/"
	case chosenValue:
		return "(" + strings.Join(o.Choices, " ") + ")"
	}
	return " "
}
