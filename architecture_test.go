package indelible_test

import (
	"bytes"
	"flag"
	"fmt"
	"go/doc"
	"go/parser"
	"go/token"
	"html"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/images/architecture.svg again")

const drawing = "docs/images/architecture.svg"

// TestDrawing: the drawing of the architecture shows the floors as they are.
func TestDrawing(t *testing.T) {
	want := draw(t)
	if *update {
		if err := os.WriteFile(drawing, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(drawing)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not the floors of floors_test.go any more: go test . -run TestDrawing -update", drawing)
	}
}

// kinds are what a package's colour says. The first prefix that fits counts.
var kinds = []struct{ prefix, kind string }{
	{"internal/ingest", "door"}, {"internal/recorder", "door"}, {"internal/capture", "door"}, {"integrations/", "door"},
	{"internal/disk/disktest", "test"}, {"internal/disk/faultdisk", "test"}, {"internal/disk/crashdisk", "test"},
	{"internal/store/storetest", "test"}, {"internal/store/faultproxy", "test"}, {"internal/test", "test"}, {"internal/torture", "test"},
	{"internal/disk", "keep"}, {"internal/spool", "keep"},
	{"internal/store", "deliver"}, {"internal/layout", "deliver"}, {"internal/upload", "deliver"}, {"s3store", "deliver"},
	{"internal/proof", "prove"}, {"internal/signer", "prove"},
	{"internal/query", "find"}, {"internal/catalog", "find"}, {"internal/replay", "find"}, {"internal/fields", "find"},
}

var legend = []struct{ kind, says string }{
	{"door", "takes records"}, {"keep", "keeps them: the fsync"}, {"deliver", "delivers them"}, {"prove", "proves them"},
	{"find", "finds them"}, {"run", "wires, runs, shows"}, {"test", "for tests only"},
}

// way is a record's way through the packages.
var way = []string{"internal/ingest", "internal/spool", "internal/upload", "internal/layout", "internal/store", "internal/proof"}

func kindOf(dir string) string {
	for _, k := range kinds {
		if strings.HasPrefix(dir, k.prefix) {
			return k.kind
		}
	}
	return "run"
}

// draw puts each floor in a line, the highest at the top, and into each box the package's
// name, with its duty as what is shown when the pointer rests on it.
func draw(t *testing.T) []byte {
	const width, left, high, gap, line = 1120, 52, 30, 8, 42
	files := goFiles(t)
	rows := map[int][]string{}
	for dir, floor := range floors {
		rows[floor] = append(rows[floor], dir)
	}
	var b bytes.Buffer
	y := 92
	var boxes bytes.Buffer
	for _, floor := range slices.Backward(slices.Sorted(maps.Keys(rows))) {
		fmt.Fprintf(&boxes, "<text class=\"floor\" x=\"36\" y=\"%d\">%d</text>\n", y+20, floor)
		x := left
		dirs := rows[floor]
		slices.Sort(dirs)
		for _, dir := range dirs {
			name := strings.TrimPrefix(dir, "internal/")
			if dir == "" {
				name = "indelible (the library)"
			}
			step := slices.Index(way, dir) + 1
			w := len(name)*7 + 20
			if step > 0 {
				w += 22
			}
			if x+w > width-16 {
				x, y = left, y+line-4
			}
			fmt.Fprintf(&boxes, "<g class=\"%s\"><title>%s</title><rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"5\"/>", kindOf(dir), html.EscapeString(synopsis(t, files[dir])), x, y, w, high)
			tx := x + 10
			if step > 0 {
				fmt.Fprintf(&boxes, "<circle cx=\"%d\" cy=\"%d\" r=\"9\"/><text class=\"step\" x=\"%d\" y=\"%d\">%d</text>", x+16, y+15, x+16, y+19, step)
				tx += 22
			}
			fmt.Fprintf(&boxes, "<text x=\"%d\" y=\"%d\">%s</text></g>\n", tx, y+19, html.EscapeString(name))
			x += w + gap
		}
		y += line
	}
	height := y + 56
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="The packages of Indelible on their floors">
<style>
svg { background: #fff; font: 12px ui-monospace, "DejaVu Sans Mono", monospace }
text { fill: #1c2430 } .head { font: 600 20px system-ui, "DejaVu Sans", sans-serif } .say, .key { font: 13px system-ui, "DejaVu Sans", sans-serif } .say { fill: #55606e }
.floor { fill: #8a94a0; text-anchor: end } .step { fill: #fff; text-anchor: middle; font-weight: 700; font-size: 11px }
rect { fill: #f2f4f6; stroke: #9aa4b0 } circle { fill: #1c2430 }
.door rect { fill: #e3efff; stroke: #3b78c9 } .keep rect { fill: #dff5e6; stroke: #238a4b } .deliver rect { fill: #fff0d9; stroke: #b97a12 }
.prove rect { fill: #efe4fb; stroke: #7b4fb0 } .find rect { fill: #e0f5f5; stroke: #1f8585 } .test rect { fill: #fff; stroke: #9aa4b0; stroke-dasharray: 4 3 } .test text { fill: #6a7480 }
@media (prefers-color-scheme: dark) {
svg { background: #12161c } text { fill: #e6eaf0 } .say { fill: #a2adba } .floor { fill: #7d8894 } .step { fill: #12161c } circle { fill: #e6eaf0 } rect { fill: #1f262f; stroke: #66717d }
.door rect { fill: #16283f } .keep rect { fill: #12301f } .deliver rect { fill: #37290f } .prove rect { fill: #2a1d3d } .find rect { fill: #103030 } .test rect { fill: #12161c } .test text { fill: #98a3af }
}
</style>
<text class="head" x="16" y="34">The packages: each imports only what stands on lower floors</text>
<text class="say" x="16" y="58">The numbers are a record's way: in at a door (1), synced and acknowledged (2), delivered (3) under its name (4) into the store (5), and proven (6).</text>
`, width, height)
	b.Write(boxes.Bytes())
	x := left
	for _, l := range legend {
		fmt.Fprintf(&b, "<g class=\"%s\"><rect x=\"%d\" y=\"%d\" width=\"18\" height=\"14\" rx=\"3\"/><text class=\"key\" x=\"%d\" y=\"%d\">%s</text></g>\n", l.kind, x, y+18, x+26, y+30, l.says)
		x += len(l.says)*7 + 56
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// synopsis is the first sentence of a package's comment.
func synopsis(t *testing.T, files []string) string {
	t.Helper()
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if f.Doc != nil {
			return new(doc.Package).Synopsis(f.Doc.Text())
		}
	}
	return ""
}
