// SPDX-License-Identifier: Apache-2.0

// Drawing one chart as SVG: a file of a few kilobytes without scripts, which follows the reader's choice of light or dark.

package bench

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// chart is what is drawn.
type chart struct {
	title        string
	xTitle       string
	yTitle       string
	note         string // below: where the figures are from
	lines        []line
	aims         []line // of what is wanted; a single point is a line across
	lessIsBetter bool
}

// line is points in the order of x.
type line struct {
	name   string
	points []point
}

type point struct{ x, y float64 }

// Measures of the drawing, in its own units.
const (
	svgWidth, svgHeight        = 720.0, 400.0
	svgLeft, svgRight          = 76.0, 24.0
	svgTop, svgBottom          = 78.0, 66.0
	svgTickGap                 = 46.0 // between two labels of the x axis, at least
	svgYTicks                  = 5.0
	svgHeadroom                = 1.12 // the greatest value is below the top
	svgLogFrom                 = 15.0 // greatest x by smallest, from which on the x axis is logarithmic
	svgLabelsMax               = 12   // points that are labelled with their values
	svgCloseX, svgCloseY       = 40.0, 15.0
	svgLegendStep, svgCharWide = 22.0, 6.6
)

// svgStyle has a colour for each line, twice: for light and for dark backgrounds. Lines differ in their marks too.
const svgStyle = `<style>
text{font:12px system-ui,sans-serif;fill:#1f2328}
.t{font-size:15px;font-weight:600}.m{fill:#59636e}
.bg{fill:#fff}.g{stroke:#d1d9e0;stroke-width:1}.ax{stroke:#59636e;stroke-width:1}
.l{fill:none;stroke-width:2}.aim{fill:none;stroke:#59636e;stroke-width:1.5;stroke-dasharray:6 4}
.s0{stroke:#0550ae}.f0{fill:#0550ae}.s1{stroke:#bc4c00}.f1{fill:#bc4c00}
.s2{stroke:#1a7f37}.f2{fill:#1a7f37}.s3{stroke:#8250df}.f3{fill:#8250df}
@media (prefers-color-scheme:dark){
text{fill:#e6edf3}.m{fill:#9198a1}.bg{fill:#0d1117}.g{stroke:#2a313c}.ax{stroke:#9198a1}.aim{stroke:#9198a1}
.s0{stroke:#58a6ff}.f0{fill:#58a6ff}.s1{stroke:#ffa657}.f1{fill:#ffa657}
.s2{stroke:#56d364}.f2{fill:#56d364}.s3{stroke:#d2a8ff}.f3{fill:#d2a8ff}}
</style>
`

// svgColours is how many lines have a colour of their own.
const svgColours = 4

// drawing is a chart under way.
type drawing struct {
	strings.Builder
	chart  *chart
	xs     []float64 // the different x of all lines, ascending
	logX   bool
	yMax   float64
	yStep  float64
	placed []point // of labels, so that none is drawn over another
}

// svg draws the chart. It has at least one line with a point.
func (c *chart) svg() string {
	d := &drawing{chart: c}
	d.scale()
	fmt.Fprintf(d, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" role="img" aria-label="%s">`+"\n", svgWidth, svgHeight, html.EscapeString(c.title))
	d.WriteString(svgStyle)
	fmt.Fprintf(d, `<rect class="bg" width="%.0f" height="%.0f" rx="6"/>`+"\n", svgWidth, svgHeight)
	d.text(20, 28, "t", "start", c.title)
	d.axes()
	for _, aim := range c.aims {
		d.aim(aim)
	}
	for i, l := range c.lines {
		d.line(i%svgColours, l)
	}
	for i, l := range c.lines {
		d.values(i%svgColours, l)
	}
	d.legend()
	d.text(20, svgHeight-10, "m", "start", c.note)
	d.WriteString("</svg>\n")
	return d.String()
}

// scale decides on the axes.
func (d *drawing) scale() {
	for _, l := range slices.Concat(d.chart.lines, d.chart.aims) {
		for _, p := range l.points {
			d.yMax = max(d.yMax, p.y)
		}
	}
	for _, l := range d.chart.lines {
		for _, p := range l.points {
			d.xs = append(d.xs, p.x)
		}
	}
	slices.Sort(d.xs)
	d.xs = slices.Compact(d.xs)
	d.logX = d.xs[0] > 0 && d.xs[len(d.xs)-1]/d.xs[0] >= svgLogFrom
	if d.yMax *= svgHeadroom; d.yMax <= 0 {
		d.yMax = 1
	}
	d.yStep = math.Pow(10, math.Floor(math.Log10(d.yMax/svgYTicks)))
	for _, by := range []float64{2, 2.5, 2} {
		if d.yMax/d.yStep > svgYTicks+1 {
			d.yStep *= by
		}
	}
}

// x and y are where a value is drawn.
func (d *drawing) x(v float64) float64 {
	low, high := d.xs[0], d.xs[len(d.xs)-1]
	if low == high {
		return (svgLeft + svgWidth - svgRight) / 2
	}
	part := (v - low) / (high - low)
	if d.logX {
		part = math.Log(v/low) / math.Log(high/low)
	}
	const inset = 28
	return svgLeft + inset + part*(svgWidth-svgLeft-svgRight-2*inset)
}

func (d *drawing) y(v float64) float64 {
	return svgHeight - svgBottom - v/d.yMax*(svgHeight-svgTop-svgBottom)
}

func (d *drawing) text(x, y float64, class, anchor, what string) {
	fmt.Fprintf(d, `<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>`+"\n", x, y, class, anchor, html.EscapeString(what))
}

func (d *drawing) axes() {
	for v := 0.0; v <= d.yMax; v += d.yStep {
		fmt.Fprintf(d, `<path class="%s" d="M%.1f %.1fH%.1f"/>`+"\n", map[bool]string{true: "ax", false: "g"}[v == 0], svgLeft, d.y(v), svgWidth-svgRight)
		d.text(svgLeft-8, d.y(v)+4, "m", "end", short(v))
	}
	last := math.Inf(-1)
	for _, v := range d.xs {
		at := d.x(v)
		fmt.Fprintf(d, `<path class="ax" d="M%.1f %.1fv5"/>`+"\n", at, svgHeight-svgBottom)
		if at-last >= svgTickGap {
			d.text(at, svgHeight-svgBottom+19, "m", "middle", short(v))
			last = at
		}
	}
	d.text((svgLeft+svgWidth-svgRight)/2, svgHeight-svgBottom+37, "", "middle", d.chart.xTitle)
	better := ""
	if d.chart.lessIsBetter {
		better = " (less is better)"
	}
	d.text(20, 48, "m", "start", d.chart.yTitle+better)
}

// aim draws what is wanted: along its points, or across at the height of the only one.
func (d *drawing) aim(l line) {
	path := ""
	if len(l.points) == 1 {
		path = fmt.Sprintf("M%.1f %.1fH%.1f", svgLeft, d.y(l.points[0].y), svgWidth-svgRight)
	} else {
		path = d.path(l.points)
	}
	fmt.Fprintf(d, `<path class="aim" d="%s"/>`+"\n", path)
}

func (d *drawing) path(points []point) string {
	var b strings.Builder
	for i, p := range points {
		fmt.Fprintf(&b, "%c%.1f %.1f", "ML"[min(i, 1)], d.x(p.x), d.y(p.y))
	}
	return b.String()
}

func (d *drawing) line(colour int, l line) {
	if len(l.points) > 1 {
		fmt.Fprintf(d, `<path class="l s%d" d="%s"/>`+"\n", colour, d.path(l.points))
	}
	for _, p := range l.points {
		d.mark(colour, d.x(p.x), d.y(p.y))
	}
}

// mark draws a point: lines differ by its form too, not only by colour.
func (d *drawing) mark(colour int, x, y float64) {
	switch colour {
	case 0:
		fmt.Fprintf(d, `<circle class="f0" cx="%.1f" cy="%.1f" r="4"/>`+"\n", x, y)
	case 1:
		fmt.Fprintf(d, `<rect class="f1" x="%.1f" y="%.1f" width="8" height="8"/>`+"\n", x-4, y-4)
	case 2:
		fmt.Fprintf(d, `<path class="f2" d="M%.1f %.1fl5 9h-10z"/>`+"\n", x, y-6)
	default:
		fmt.Fprintf(d, `<path class="f3" d="M%.1f %.1fl5 5l-5 5l-5 -5z"/>`+"\n", x, y-5)
	}
}

// values writes the values of points beside them, where there is room.
func (d *drawing) values(colour int, l line) {
	if len(l.points) > svgLabelsMax {
		return
	}
	for _, p := range l.points {
		d.label(d.x(p.x), d.y(p.y)-9, fmt.Sprintf("f%d", colour), short(p.y))
	}
}

// label writes text unless it would be over another label.
func (d *drawing) label(x, y float64, class, what string) {
	for _, p := range d.placed {
		if math.Abs(p.x-x) < svgCloseX && math.Abs(p.y-y) < svgCloseY {
			return
		}
	}
	d.placed = append(d.placed, point{x, y})
	d.text(x, y, class, "middle", what)
}

// legend names the aims, and the lines where there are several.
func (d *drawing) legend() {
	var aims []string
	for _, aim := range d.chart.aims {
		aims = append(aims, aim.name)
	}
	if len(aims) > 0 {
		named := strings.Join(aims, "; ")
		d.text(svgWidth-svgRight, 48, "m", "end", named)
		x := svgWidth - svgRight - svgCharWide*float64(len([]rune(named)))
		fmt.Fprintf(d, `<path class="aim" d="M%.1f 44h-26"/>`+"\n", x-8)
	}
	if len(d.chart.lines) < 2 {
		return
	}
	x := svgLeft
	for i, l := range d.chart.lines {
		d.mark(i%svgColours, x, 64)
		d.text(x+10, 68, "", "start", l.name)
		x += svgLegendStep + 10 + svgCharWide*float64(len([]rune(l.name)))
	}
}

// short writes a number in a few characters: 950, 1.5k, 20M.
func short(v float64) string {
	unit := ""
	for _, u := range []string{"k", "M", "G"} {
		if math.Abs(v) < 9999.5 && (u == "k" || math.Abs(v) < 999.5) {
			break
		}
		v, unit = v/1000, u
	}
	switch {
	case v == math.Trunc(v) || math.Abs(v) >= 100:
		return fmt.Sprintf("%.0f%s", v, unit)
	case math.Abs(v) >= 10:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0") + unit
	}
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", v), "0"), ".") + unit
}
