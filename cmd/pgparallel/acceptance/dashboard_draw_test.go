package acceptance_test

import (
	"cmp"
	"flag"
	"fmt"
	"html"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
)

var updatePicture = flag.Bool("update-picture", false, "write the picture of the dashboard")

// Where a panel lies, as Grafana has it: 24 columns, and rows.
const (
	column, row, gap = 50, 34, 8
	ink, faint       = "#D8D9DA", "#8E9096"
)

var palette = []string{"#73BF69", "#5794F2", "#FADE2A", "#FF9830", "#B877D9", "#F2495C"}

// series is a line of a panel; NaN where it has no value.
type series struct {
	name   string
	dashed bool
	values []float64
}

// drawDashboard draws the dashboard as an SVG: what its queries answer at each moment. It
// returns the titles of the panels that show nothing.
func drawDashboard(d dashboard, h history) (svg string, empty []string) {
	var b strings.Builder
	height := 0
	for _, p := range d.Panels {
		height = max(height, (p.GridPos.Y+p.GridPos.H)*row)
	}
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="Inter, Helvetica, DejaVu Sans, Arial, sans-serif" font-size="12">`+"\n", 24*column+gap, height+gap)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#111217"/>`+"\n")
	for _, p := range d.Panels {
		c := canvas{&b, float64(p.GridPos.X*column + gap), float64(p.GridPos.Y*row + gap), float64(p.GridPos.W*column - gap), float64(p.GridPos.H*row - gap), p.FieldConfig.Defaults.Unit}
		fmt.Fprintf(&b, `<rect x="%.0f" y="%.0f" width="%.0f" height="%.0f" rx="3" fill="#181B1F" stroke="#25272C"/>`+"\n", c.x, c.y, c.w, c.h)
		c.text(c.x+10, c.y+20, ink, "start", `font-weight="600"`, p.Title)
		var all []series
		for _, target := range p.Targets {
			q, err := parseQuery(target.Expr)
			if err != nil {
				continue // the other test tells
			}
			all = append(all, answers(q, target.LegendFormat, h)...)
		}
		if len(all) == 0 {
			empty = append(empty, p.Title)
		}
		switch p.Type {
		case "stat":
			c.stat(all, strings.Contains("Failed, Damaged pages", p.Title))
		case "bargauge":
			c.bars(slices.DeleteFunc(all, func(s series) bool { return math.IsNaN(s.values[len(s.values)-1]) }))
		default:
			c.lines(all, h[len(h)-1].at.Sub(h[0].at).Seconds())
		}
	}
	b.WriteString("</svg>\n")
	return b.String(), empty
}

var backupLabel = regexp.MustCompile(`backup="(\w+)"`)

// answers are what a query answers over time, a series for each set of labels, in the order
// in which they come up.
func answers(q panelQuery, legend string, h history) []series {
	found, begin := map[string]*series{}, map[string]int{}
	for i := range h {
		for labels, value := range q.at(h, i) {
			s := found[labels]
			if s == nil {
				name := legend
				if m := backupLabel.FindStringSubmatch(labels); m != nil {
					name = strings.ReplaceAll(legend, "{{backup}}", m[1])
				}
				s = &series{name: name, dashed: strings.HasPrefix(name, "limit of") || strings.HasPrefix(name, "size of"), values: slices.Repeat([]float64{math.NaN()}, len(h))}
				found[labels], begin[labels] = s, i
			}
			s.values[i] = value
		}
	}
	var all []series
	for _, labels := range slices.SortedFunc(maps.Keys(found), func(a, b string) int { return cmp.Or(cmp.Compare(begin[a], begin[b]), cmp.Compare(a, b)) }) {
		all = append(all, *found[labels])
	}
	return all
}

// canvas is where a panel is drawn.
type canvas struct {
	*strings.Builder
	x, y, w, h float64
	unit       string
}

func (c canvas) text(x, y float64, color, anchor, more, text string) {
	fmt.Fprintf(c, `<text x="%.1f" y="%.1f" fill="%s" text-anchor="%s" %s>%s</text>`+"\n", x, y, color, anchor, more, html.EscapeString(text))
}

// stat shows the last value.
func (c canvas) stat(all []series, bad bool) {
	value := 0.0
	for _, s := range all {
		value += s.values[len(s.values)-1]
	}
	color := palette[0]
	if bad && value > 0 {
		color = palette[5]
	}
	c.text(c.x+c.w/2, c.y+c.h/2+28, color, "middle", `font-size="38" font-weight="500"`, inUnit(c.unit, value))
}

// bars shows the last value that each series had, of 100.
func (c canvas) bars(all []series) {
	room := (c.h - 44) / float64(max(len(all), 1))
	for i, s := range all {
		value := min(s.values[len(s.values)-1], 100)
		y, left, width := c.y+38+float64(i)*room, c.x+84, c.w-84-62
		thick := min(room-14, 44)
		mid := y + thick/2 + 4
		c.text(left-8, mid, ink, "end", "", s.name)
		fmt.Fprintf(c, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="#22252B"/>`+"\n", left, y, width, thick)
		fmt.Fprintf(c, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s" opacity="0.85"/>`+"\n", left, y, width*value/100, thick, palette[0])
		c.text(c.x+c.w-10, mid, ink, "end", `font-size="15"`, inUnit(c.unit, value))
	}
}

// lines shows all values over the seconds.
func (c canvas) lines(all []series, seconds float64) {
	left, top, width, height := c.x+64, c.y+36, c.w-64-14, c.h-36-52
	most := 0.0
	for _, s := range all {
		for _, v := range s.values {
			if !math.IsNaN(v) {
				most = max(most, v)
			}
		}
	}
	step := niceStep(most, c.unit)
	most = max(step, math.Ceil(most*1.02/step)*step)
	for v := 0.0; v <= most*1.001; v += step {
		y := top + height - height*v/most
		fmt.Fprintf(c, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#2C2F36"/>`+"\n", left, y, left+width, y)
		c.text(left-8, y+4, faint, "end", `font-size="11"`, inUnit(c.unit, v))
	}
	for s := 0.0; s <= seconds; s += 2 {
		c.text(left+width*s/seconds, top+height+17, faint, "middle", `font-size="11"`, fmt.Sprintf("%.0f s", s))
	}
	at := left
	for i, s := range all {
		color := palette[i%len(palette)]
		if s.dashed {
			color = map[bool]string{true: "#F2495C", false: "#8E9096"}[strings.HasPrefix(s.name, "limit")]
		}
		c.line(s, color, left, top, width, height, most)
		fmt.Fprintf(c, `<rect x="%.1f" y="%.1f" width="14" height="3" fill="%s"/>`+"\n", at, c.y+c.h-16, color)
		c.text(at+19, c.y+c.h-11, ink, "start", `font-size="11"`, s.name)
		at += 34 + 6.4*float64(len(s.name))
	}
}

// line draws a series, with gaps where it has no value.
func (c canvas) line(s series, color string, left, top, width, height, most float64) {
	var path, area strings.Builder
	first, last := -1.0, -1.0
	end := func() {
		if first >= 0 {
			fmt.Fprintf(&area, " L%.1f %.1f L%.1f %.1f Z", last, top+height, first, top+height)
		}
		first = -1
	}
	for i, v := range s.values {
		if math.IsNaN(v) {
			end()
			continue
		}
		x, y, move := left+width*float64(i)/float64(len(s.values)-1), top+height-height*v/most, " L"
		if first < 0 {
			first, move = x, " M"
		}
		last = x
		fmt.Fprintf(&path, "%s%.1f %.1f", move, x, y)
		fmt.Fprintf(&area, "%s%.1f %.1f", move, x, y)
	}
	end()
	dash := ""
	if s.dashed {
		dash = ` stroke-dasharray="7 5"`
	} else {
		fmt.Fprintf(c, `<path d="%s" fill="%s" opacity="0.13"/>`+"\n", strings.TrimSpace(area.String()), color)
	}
	fmt.Fprintf(c, `<path d="%s" fill="none" stroke="%s" stroke-width="1.8"%s/>`+"\n", strings.TrimSpace(path.String()), color, dash)
}

// niceStep is between two lines of a grid of about four.
func niceStep(most float64, unit string) float64 {
	base := 10.0
	if unit == "bytes" || unit == "Bps" {
		base = 1024
	}
	if most <= 0 {
		return 1
	}
	power := math.Pow(base, math.Floor(math.Log(most)/math.Log(base)))
	for _, step := range []float64{0.1, 0.2, 0.25, 0.5, 1, 2, 2.5, 5, 10, 20, 25, 50, 100, 200, 250, 500} {
		if most/(power*step) <= 4.5 {
			return power * step
		}
	}
	return power * 1000
}

// inUnit is a value as Grafana shows it in the unit.
func inUnit(unit string, value float64) string {
	switch unit {
	case "percent":
		return fmt.Sprintf("%.0f%%", value)
	case "bytes", "Bps":
		names, i := []string{"B", "KiB", "MiB", "GiB", "TiB"}, 0
		for ; value >= 1024 && i < len(names)-1; i++ {
			value /= 1024
		}
		text := fmt.Sprintf("%.3g %s", value, names[i])
		if unit == "Bps" {
			text += "/s"
		}
		return text
	}
	return fmt.Sprintf("%.3g", value)
}
