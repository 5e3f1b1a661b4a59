package docs_test

import (
	"go/ast"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// reasons are the texts of internal/event that say why an event starts nothing, with … for what is filled in.
func reasons(t *testing.T) (all []saying) {
	t.Helper()
	p := parseProgram(t, "event")
	for _, file := range p.files["event"] {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if name := called(call); name != "drop" && !strings.HasSuffix(name, ".drop") {
				return true
			}
			if text := blanks(literal(call.Args[0])); !madeElsewhere(text) {
				all = append(all, saying{text: text, at: p.fset.Position(n.Pos())})
			}
			return true
		})
	}
	return all
}

func TestEveryReasonToDropAnEventIsExplained(t *testing.T) {
	var quoted []string
	for _, row := range table(t, read(t, "docs/events.md"), "Dropped events") {
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[0], -1) {
			quoted = append(quoted, m[1])
		}
	}
	all := reasons(t)
	if len(all) < 15 {
		t.Errorf("found %d reasons in the source: does the test still read them?", len(all))
	}
	for _, s := range all {
		if !slices.ContainsFunc(quoted, func(q string) bool { return quotes(q, s.text) }) {
			t.Errorf("%s: the table of docs/events.md does not explain this reason:\n\t%s", place(s.at), s.text)
		}
	}
	for _, q := range quoted {
		if !slices.ContainsFunc(all, func(s saying) bool { return quotes(q, s.text) }) {
			t.Errorf("docs/events.md: nothing says %q any more", q)
		}
	}
}
