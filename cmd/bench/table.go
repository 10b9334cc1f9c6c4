package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// table is written as Markdown whose columns are aligned, so that it reads as text as well.
type table struct {
	header []string
	right  int // how many columns, from the last one, are aligned to the right
	rows   [][]string
}

func (t table) write(w io.Writer) {
	widths := make([]int, len(t.header))
	for _, row := range append([][]string{t.header}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	rule := make([]string, len(widths))
	for i, width := range widths {
		rule[i] = strings.Repeat("-", max(width, 3))
		widths[i] = len(rule[i])
		if t.isRight(i) {
			rule[i] = rule[i][1:] + ":"
		}
	}
	t.writeRow(w, t.header, widths)
	t.writeRow(w, rule, widths)
	for _, row := range t.rows {
		t.writeRow(w, row, widths)
	}
}

func (t table) writeRow(w io.Writer, cells []string, widths []int) {
	for i, cell := range cells {
		padding := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
		if t.isRight(i) {
			cell = padding + cell
		} else {
			cell += padding
		}
		fmt.Fprintf(w, "| %s ", cell)
	}
	fmt.Fprintln(w, "|")
}

func (t table) isRight(column int) bool { return column >= len(t.header)-t.right }
