package main

import (
	"regexp"
	"strings"
)

// The help of each command is written by hand. Whatever else tells of options is made from
// it: the manual pages, and what completes a command line.

// helpPage is the help of a command, taken apart: blocks, which are separated by empty lines.
type helpPage []helpBlock

// helpBlock is a list with its title, or paragraphs and the entries between them.
type helpBlock struct {
	title string // as "Connection options"; empty for none
	items []helpItem
}

// helpItem is a paragraph, or an entry of a list.
type helpItem struct {
	term   string      // what the entry explains, as "-D, --pgdata=DATADIR"; empty in a paragraph
	option *helpOption // nil if the term is none
	lines  []string    // the text
}

// text is the item's text in one line.
func (i helpItem) text() string { return strings.Join(i.lines, " ") }

// helpOption is an option as the help has it.
type helpOption struct {
	short string // without its dash; empty for none
	long  string // without its dashes
	value string // what the help calls the value; empty if the option takes none
}

// titleUsage is the title of the block that shows how the command is called.
const titleUsage = "Usage"

// widestIndent is that of an entry's first line. Lines that are indented more go on with
// its text.
const widestIndent = 6

// parseHelp takes the help of a command apart.
func parseHelp(help string) helpPage {
	var page helpPage
	for text := range strings.SplitSeq(strings.TrimSpace(help), "\n\n") {
		page = append(page, parseHelpBlock(strings.Split(text, "\n")))
	}
	return page
}

func parseHelpBlock(lines []string) helpBlock {
	var block helpBlock
	if title, found := strings.CutSuffix(lines[0], ":"); found && len(lines) > 1 && strings.HasPrefix(lines[1], " ") {
		block.title, lines = title, lines[1:]
	}
	for _, line := range lines {
		text := strings.TrimLeft(line, " ")
		indent := len(line) - len(text)
		last := len(block.items) - 1
		switch {
		case block.title == titleUsage:
			block.items = append(block.items, helpItem{lines: []string{text}})
		case indent > 0 && indent <= widestIndent:
			block.items = append(block.items, parseHelpEntry(text))
		case last >= 0 && (indent > 0 || block.items[last].term == ""):
			block.items[last].lines = append(block.items[last].lines, text)
		default:
			block.items = append(block.items, helpItem{lines: []string{text}})
		}
	}
	return block
}

var (
	optionEntry = regexp.MustCompile(`^(?:-(\S), )?--([a-z-]+)(?:=(\S+))?(?: +(\S.*))?$`)
	otherEntry  = regexp.MustCompile(`^(\S+(?: \S+)*?)(?:  +(\S.*))?$`)
	wordEntry   = regexp.MustCompile(`^([a-z]+) (\S.*)$`) // the longest of a list
)

// parseHelpEntry takes an entry's first line apart.
func parseHelpEntry(line string) helpItem {
	var item helpItem
	text := ""
	if parts := optionEntry.FindStringSubmatch(line); parts != nil {
		item.option = &helpOption{short: parts[1], long: parts[2], value: parts[3]}
		item.term, text = strings.TrimRight(strings.TrimSuffix(line, parts[4]), " "), parts[4]
	} else if parts := wordEntry.FindStringSubmatch(line); parts != nil {
		item.term, text = parts[1], strings.TrimLeft(parts[2], " ")
	} else {
		parts := otherEntry.FindStringSubmatch(line)
		item.term, text = parts[1], parts[2]
	}
	if text != "" {
		item.lines = []string{text}
	}
	return item
}

// options are the options of the page, in its order.
func (p helpPage) options() []helpItem {
	var options []helpItem
	for _, block := range p {
		for _, item := range block.items {
			if item.option != nil {
				options = append(options, item)
			}
		}
	}
	return options
}

// purpose is what the program's own help says of a command.
func purpose(command string) string {
	for _, block := range parseHelp(programUsage) {
		for _, item := range block.items {
			if item.term == command {
				return item.text()
			}
		}
	}
	return ""
}

var quotedWord = regexp.MustCompile(`"([^"]+)"`)

// choices are the values that an option may have, where the help names them all: in the
// place of the value, as fast|spread, or quoted in a text that begins with one.
func (i helpItem) choices() []string {
	if head, list, found := strings.Cut(i.option.value, "{"); found { // SHA{224,256}|NONE
		inner, rest, _ := strings.Cut(list, "}")
		var all []string
		for _, ending := range strings.Split(inner, ",") {
			all = append(all, head+ending)
		}
		return append(all, strings.Split(strings.TrimPrefix(rest, "|"), "|")...)
	}
	if strings.Contains(i.option.value, "|") {
		return strings.Split(i.option.value, "|")
	}
	if i.option.value != "" && i.option.value == strings.ToLower(i.option.value) {
		return []string{i.option.value}
	}
	var words []string
	if text := i.text(); strings.HasPrefix(text, `"`) {
		for _, word := range quotedWord.FindAllStringSubmatch(text, -1) {
			words = append(words, word[1])
		}
	}
	return words
}

// valueKind is how the value of an option is completed.
type valueKind string

const (
	noValue        valueKind = ""
	anyValue                 = "any"
	fileValue                = "file"
	directoryValue valueKind = "directory"
	chosenValue              = "chosen"
)

// valueKind is what the value of an option is, told by what the help calls it.
func (i helpItem) valueKind() valueKind {
	name := i.option.value
	switch {
	case name == "":
		return noValue
	case len(i.choices()) > 0:
		return chosenValue
	case strings.HasSuffix(name, "FILE"), name == "PATH":
		return fileValue
	case strings.Contains(name, "="):
		return anyValue
	case strings.HasSuffix(name, "DIR"), strings.HasSuffix(name, "DIRECTORY"):
		return directoryValue
	}
	return anyValue
}
