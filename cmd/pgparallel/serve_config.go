package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// configOptions say where the other options of serve are, besides on the command line.
type configOptions struct {
	Config      string
	CheckConfig bool

	line    *kong.Context // the command line that the options were taken from
	unknown []string      // environment variables that begin as those that set options do, and set none
}

// AfterApply is called by the parser when the options of the command line are filled in.
func (o *configOptions) AfterApply(line *kong.Context) error {
	o.line = line
	return nil
}

// environmentPrefix begins the names of the environment variables that set options.
const environmentPrefix = "PGPARALLEL_"

// parameterName is what an option is called in a configuration file.
func parameterName(flag *kong.Flag) string { return strings.ReplaceAll(flag.Name, "-", "_") }

// isParameter reports whether an option can be set by a file: not the file itself, nor
// what is asked of one run only.
func isParameter(flag *kong.Flag) bool { return flag.Name != "config" && flag.Name != "check-config" }

// configuration is what options were set to, as it was written, by the names of the
// parameters. Those that nobody set are absent.
type configuration map[string]string

// configure sets the options that the command line does not set from the environment,
// else from the configuration file. All that is wrong is told at once: the error joins
// *[settingError] values. Of PGDATA alone the file comes before the environment: the
// variable is not ours.
func (o *configOptions) configure() (configuration, error) {
	flags := map[string]*kong.Flag{}
	for _, flag := range o.line.Selected().Flags {
		flags[parameterName(flag)] = flag
	}
	set := o.onCommandLine()
	wrong := o.fromEnvironment(flags, set)
	o.unknown = unknownVariables(flags)
	if o.CheckConfig {
		for _, variable := range o.unknown {
			wrong = append(wrong, &settingError{variable, "no option has this name"})
		}
	}
	if o.Config != "" {
		wrong = append(wrong, o.fromFile(flags, set))
	}
	return set, errors.Join(wrong...)
}

// onCommandLine are the options that the command line sets.
func (o *configOptions) onCommandLine() configuration {
	set := configuration{}
	for _, part := range o.line.Path {
		if part.Flag != nil && !part.Resolved {
			set[parameterName(part.Flag)] = fmt.Sprint(part.Flag.Target.Interface())
		}
	}
	return set
}

func (o *configOptions) fromEnvironment(flags map[string]*kong.Flag, set configuration) (wrong []error) {
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		variable := environmentPrefix + strings.ToUpper(name)
		value, found := os.LookupEnv(variable)
		if _, given := set[name]; !found || given || name == "check_config" {
			continue
		}
		if err := assign(flags[name], value); err != nil {
			wrong = append(wrong, &settingError{variable, err.Error()})
			continue
		}
		set[name] = value
	}
	return wrong
}

// unknownVariables are those that begin as if they set an option, and do not.
func unknownVariables(flags map[string]*kong.Flag) (unknown []string) {
	for _, entry := range os.Environ() {
		variable, _, _ := strings.Cut(entry, "=")
		name, ours := strings.CutPrefix(variable, environmentPrefix)
		if flag := flags[strings.ToLower(name)]; ours && (flag == nil || flag.Name == "check-config") {
			unknown = append(unknown, variable)
		}
	}
	slices.Sort(unknown)
	return unknown
}

// fromFile sets what the file sets and nobody before it has. The last line of a name
// counts, as in PostgreSQL, and all have to be right.
func (o *configOptions) fromFile(flags map[string]*kong.Flag, set configuration) error {
	text, err := os.ReadFile(o.Config)
	if err != nil {
		return fmt.Errorf("could not open configuration file %q: %w", o.Config, systemError(err))
	}
	var wrong []error
	given := maps.Clone(set)
	for _, s := range parseConfig(string(text)) {
		_, before := given[s.name]
		if err := s.apply(flags[s.name], before); err != nil {
			wrong = append(wrong, &settingError{fmt.Sprintf("%s:%d", o.Config, s.line), err.Error()})
		} else if !before {
			set[s.name] = s.value
		}
	}
	return errors.Join(wrong...)
}

// apply sets the option, nil if there is none of the name. One that is given before the
// file keeps its value; the line has to be right all the same.
func (s setting) apply(flag *kong.Flag, given bool) error {
	switch {
	case s.err != nil:
		return s.err
	case flag == nil && strings.Contains(s.name, "-"):
		return fmt.Errorf("unrecognized configuration parameter %q: _ stands for - in a file", s.name)
	case flag == nil || !isParameter(flag):
		return fmt.Errorf("unrecognized configuration parameter %q", s.name)
	}
	before := reflect.ValueOf(flag.Target.Interface())
	err := assign(flag, s.value)
	if given || err != nil {
		flag.Target.Set(before)
	}
	return err
}

// assign sets the option to the value, as the parser would.
func assign(flag *kong.Flag, text string) error {
	value := text
	switch {
	case flag.IsBool():
		on, known := parseBool(text)
		if !known {
			return fmt.Errorf("parameter %q requires a Boolean value", parameterName(flag))
		}
		value = fmt.Sprint(on)
	case flag.IsSlice():
		value = withoutSpaces(text)
		flag.Target.SetZero()
	}
	err := flag.Parse(kong.ScanFromTokens(kong.Token{Type: kong.FlagValueToken, Value: value}), flag.Target)
	if wrong, ok := errors.AsType[*usageError](err); ok {
		return wrong
	}
	if err != nil {
		return fmt.Errorf("invalid value for parameter %q: %q", parameterName(flag), text)
	}
	return nil
}

// parseBool reads PostgreSQL's Booleans: on, off, true, false, yes, no, 1, 0, and what
// these can be abbreviated to.
func parseBool(text string) (on, known bool) {
	text = strings.ToLower(text)
	for word, value := range map[string]bool{"on": true, "true": true, "yes": true, "1": true, "off": false, "false": false, "no": false, "0": false} {
		if text != "" && text != "o" && strings.HasPrefix(word, text) {
			return value, true
		}
	}
	return false, false
}

// withoutSpaces is a list without the spaces around its commas.
func withoutSpaces(list string) string {
	items := strings.Split(list, ",")
	for i, item := range items {
		items[i] = strings.TrimSpace(item)
	}
	return strings.Join(items, ",")
}
