package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/alecthomas/kong"
)

const manUsage = `pgparallel man writes the manual pages, for those who make packages.

Usage:
  pgparallel man DIRECTORY

Options:
  -V, --version  output version information, then exit
  -?, --help     show this help, then exit

There is a page of the program and one of each of its commands. They are made
from the help. The directory must exist.
`

// manCommand is none that users need: the program's help does not mention it.
type manCommand struct {
	Directory string `arg:"" optional:""`
}

func (*manCommand) usage() string { return manUsage }

func (c *manCommand) run(*console) error {
	if c.Directory == "" {
		return usagef("no directory specified")
	}
	parser, err := newParser(&commandLine{})
	if err != nil {
		return err
	}
	for name, text := range manPages(parser.Model.Children, thisRelease()) {
		if err := os.WriteFile(filepath.Join(c.Directory, name+".1"), []byte(text), 0o644); err != nil {
			return fmt.Errorf("could not write manual page: %w", systemError(err))
		}
	}
	return nil
}

// manPages are all pages by their names.
func manPages(commands []*kong.Node, r release) map[string]string {
	all := []string{programName}
	for _, node := range commands {
		if !node.Hidden {
			all = append(all, programName+"-"+node.Name)
		}
	}
	pages := map[string]string{}
	add := func(name, purpose, usage string) {
		page := &manPage{}
		// mandoc parses the day, without escapes.
		page.line(fmt.Sprintf(`.TH %s 1 "%s" "%s" "%s"`, roff(strings.ToUpper(name)), r.day(), roff(programName+" "+r.version), programName))
		page.macro("SH", "NAME")
		page.line(roff(name) + ` \- ` + roff(purpose))
		page.help(parseHelp(usage))
		page.seeAlso(name, all)
		pages[name] = page.String()
	}
	add(programName, "parallel base backups of PostgreSQL clusters", programUsage)
	for _, node := range commands {
		if !node.Hidden {
			add(programName+"-"+node.Name, purpose(node.Name), node.Target.Addr().Interface().(command).usage())
		}
	}
	return pages
}

// manPage is a manual page in the macros of man(7).
type manPage struct{ strings.Builder }

// line writes a line as it is.
func (p *manPage) line(text string) {
	p.WriteString(text + "\n")
}

// macro writes a macro with its arguments, which are text.
func (p *manPage) macro(name string, arguments ...string) {
	p.WriteString("." + name)
	for _, argument := range arguments {
		p.WriteString(` "` + strings.ReplaceAll(roff(argument), `"`, `\(dq`) + `"`)
	}
	p.WriteString("\n")
}

// help writes the sections: what stands before the first options describes the command,
// what stands behind them are notes.
func (p *manPage) help(page helpPage) {
	section := ""
	begin := func(title string) {
		if section != title {
			section = title
			p.macro("SH", title)
		}
	}
	p.synopsis(page)
	for i, block := range page {
		switch {
		case block.title == titleUsage:
			continue
		case block.hasOptions():
			begin("OPTIONS")
			if block.title != "Options" {
				p.macro("SS", block.title)
			}
		case block.title != "":
			begin(strings.ToUpper(block.title))
		case section == "OPTIONS" || section == "NOTES":
			begin("NOTES")
		default:
			begin("DESCRIPTION")
		}
		p.items(block, i > 0 && page[i-1].title == "" && block.title == "")
	}
}

func (b helpBlock) hasOptions() bool { return len(helpPage{b}.options()) > 0 }

func (p *manPage) synopsis(page helpPage) {
	p.macro("SH", "SYNOPSIS")
	for _, block := range page {
		if block.title != titleUsage {
			continue
		}
		for i, item := range block.items {
			if i > 0 {
				p.macro("br")
			}
			p.line(roff(item.text()))
		}
	}
}

// items writes paragraphs and entries.
func (p *manPage) items(block helpBlock, apart bool) {
	for _, item := range block.items {
		if item.term == "" {
			if apart {
				p.macro("PP")
			}
			p.text(item.lines)
			apart = true
			continue
		}
		p.macro("TP")
		p.line(item.heading())
		p.text(item.lines)
		apart = true
	}
}

// text writes lines of text, with their options in bold.
func (p *manPage) text(lines []string) {
	for _, line := range lines {
		if strings.HasPrefix(line, ".") { // as a macro
			p.WriteString(`\&`)
		}
		p.line(emphasized(line))
	}
}

// heading is the term of an entry: what is typed is bold, what stands for something slanted.
func (i helpItem) heading() string {
	if i.option == nil {
		return `\fB` + roff(i.term) + `\fP`
	}
	var b strings.Builder
	if i.option.short != "" {
		b.WriteString(`\fB` + roff("-"+i.option.short) + `\fP, `)
	}
	b.WriteString(`\fB` + roff("--"+i.option.long) + `\fP`)
	if i.option.value != "" {
		b.WriteString(`\fB=\fP\fI` + roff(i.option.value) + `\fP`)
	}
	return b.String()
}

func (p *manPage) seeAlso(name string, all []string) {
	p.macro("SH", "SEE ALSO")
	var others []string
	for _, other := range all {
		if other != name {
			others = append(others, `\fB\%`+roff(other)+`\fP(1)`)
		}
	}
	p.line(strings.Join(others, ",\n"))
}

// roff is a text as troff reads it. A plain dash would become a hyphen, which nobody can
// paste into a shell.
var roff = strings.NewReplacer(`\`, `\e`, `-`, `\-`, `'`, `\(aq`, "`", `\(ga`, `^`, `\(ha`, `~`, `\(ti`).Replace

var optionInText = regexp.MustCompile(`(^|[ (])((?:\\-[A-Za-z?]\b)|\\-\\-[a-z]+(?:\\-[a-z]+)*)`)

// emphasized is a text with its options in bold.
func emphasized(text string) string { return optionInText.ReplaceAllString(roff(text), `$1\fB$2\fP`) }
