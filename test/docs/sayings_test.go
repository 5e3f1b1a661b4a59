package docs_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// kind is why people get to read a text. It decides which table explains it.
type kind int

const (
	failure kind = iota
	warning
	waiting
)

// saying is one place of the program that makes a text for people. Text is what it says, with … for what is filled in.
type saying struct {
	kind kind
	text string
	at   token.Position
}

// program is the source of the packages that talk to people.
type program struct {
	fset      *token.FileSet
	files     map[string][]*ast.File // by package
	sentinels map[string]string      // texts of package-level errors.New, by "package.Name"
}

func parseProgram(t *testing.T, packages ...string) program {
	t.Helper()
	p := program{fset: token.NewFileSet(), files: map[string][]*ast.File{}, sentinels: map[string]string{}}
	for _, name := range packages {
		paths, err := filepath.Glob(filepath.Join(root, "internal", name, "*.go"))
		if err != nil || len(paths) == 0 {
			t.Fatalf("no source of %s: %v", name, err)
		}
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(p.fset, path, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			p.files[name] = append(p.files[name], file)
			p.readSentinels(name, file)
		}
	}
	return p
}

func (p program) readSentinels(pkg string, file *ast.File) {
	for _, decl := range file.Decls {
		vars, ok := decl.(*ast.GenDecl)
		if !ok || vars.Tok != token.VAR {
			continue
		}
		for _, spec := range vars.Specs {
			s, ok := spec.(*ast.ValueSpec)
			if !ok || len(s.Names) != 1 || len(s.Values) != 1 {
				continue
			}
			if call, ok := s.Values[0].(*ast.CallExpr); ok && called(call) == "errors.New" {
				p.sentinels[pkg+"."+s.Names[0].Name] = literal(call.Args[0])
			}
		}
	}
}

// called names what a call calls, as it is written: "fmt.Errorf", "r.report.Warn".
func called(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		if x, ok := f.X.(*ast.Ident); ok {
			return x.Name + "." + f.Sel.Name
		}
		return "." + f.Sel.Name
	}
	return ""
}

var verb = regexp.MustCompile(`%[-+# 0]*[0-9]*(?:\.[0-9]*)?(?:\[[0-9]+\])?[a-zA-Z]`)

// literal is the text of an expression, as far as it is written there: constants, sums of them, formats. The rest is ….
func literal(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if s, err := strconv.Unquote(e.Value); err == nil {
			return s
		}
	case *ast.BinaryExpr:
		if e.Op == token.ADD {
			return literal(e.X) + literal(e.Y)
		}
	case *ast.ParenExpr:
		return literal(e.X)
	case *ast.CallExpr:
		if called(e) == "fmt.Sprintf" {
			return blanks(literal(e.Args[0]))
		}
	}
	return "…"
}

// blanks puts … for the verbs of a format.
func blanks(format string) string { return verb.ReplaceAllString(format, "…") }

// madeElsewhere says that nothing of a text is written where it is used.
func madeElsewhere(text string) bool { return strings.Trim(text, "… :") == "" }

// wrapsOnly is the rule for errors that need no row of their own: "describing instance %q: %w" adds to the text of another
// error what was being done, and the row is that other error's. It is one by form, a format that ends in ": %w", unless a
// hint goes with it (then it is mended here) or what it wraps is a text of the program's own (then it is the last word).
func wrapsOnly(format string, sentinel bool) bool {
	return strings.HasSuffix(format, ": %w") && !sentinel
}

// format fills a format's verbs: with the text of an error of the program's own where there is one, else with ….
func (p program) format(pkg string, args []ast.Expr) (text string, wrapper bool) {
	format, i, sentinel := literal(args[0]), 0, false
	text = verb.ReplaceAllStringFunc(format, func(string) string {
		i++
		sentinel = false
		if i >= len(args) {
			return "…"
		}
		name := pkg + "."
		switch a := args[i].(type) {
		case *ast.Ident:
			name += a.Name
		case *ast.SelectorExpr:
			if x, ok := a.X.(*ast.Ident); ok {
				name = x.Name + "." + a.Sel.Name
			}
		}
		if known, ok := p.sentinels[name]; ok {
			sentinel = true
			return known
		}
		return "…"
	})
	return text, wrapsOnly(format, sentinel)
}

// warningsMadeIn names, for what is passed to warn and is no text itself, the function that makes the text.
var warningsMadeIn = map[string]string{
	"warning":     "asg.Preflight",
	"difference":  "asg.Compare",
	"note":        "asg.surplus",
	"unknown":     "asg.CheckProtection",
	"err.Error()": "", // an error: it has its row
	"text":        "", // a parameter of warnOf: this test checks the callers of warnOf instead
}

// endsWell are errors that no user gets to read as one: the steps that need no Node say it and end well, and volumes that stay are
// warned of; a step whose window has closed waits for the next one.
var endsWell = []string{"the node is gone, its instance is retired or terminated", "volumes took too long to be detached", "the maintenance window has closed"}

// sayings finds every place where an error, a warning or the status of an unfinished wait is made.
func (p program) sayings(t *testing.T) (all []saying) {
	t.Helper()
	for pkg, files := range p.files {
		for _, file := range files {
			for _, decl := range file.Decls {
				all = append(all, p.sayingsOf(t, pkg, decl)...)
			}
		}
	}
	slices.SortFunc(all, func(a, b saying) int {
		return strings.Compare(fmt.Sprintf("%s:%06d", a.at.Filename, a.at.Line), fmt.Sprintf("%s:%06d", b.at.Filename, b.at.Line))
	})
	return all
}

func (p program) sayingsOf(t *testing.T, pkg string, decl ast.Decl) (all []saying) {
	t.Helper()
	add := func(k kind, text string, at ast.Node) {
		if !madeElsewhere(text) && !slices.Contains(endsWell, text) {
			all = append(all, saying{k, text, p.fset.Position(at.Pos())})
		}
	}
	function, errorText := "", false
	if f, ok := decl.(*ast.FuncDecl); ok {
		function = f.Name.Name
		errorText = function == "Error" && f.Recv != nil && ast.IsExported(receiver(f))
	}
	warns := slices.Contains(slices.Collect(maps.Values(warningsMadeIn)), pkg+"."+function)
	hinted := map[ast.Expr]bool{}
	ast.Inspect(decl, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			switch name := called(n); {
			case name == "hint.Wrap":
				hinted[n.Args[0]] = true // Inspect comes to it next
				add(failure, literal(n.Args[1]), n)
			case name == "hint.Errorf":
				text, _ := p.format(pkg, n.Args[1:])
				add(failure, text, n)
			case name == "fmt.Errorf":
				if text, wrapper := p.format(pkg, n.Args); !wrapper || hinted[n] {
					add(failure, text, n)
				}
			case name == "errors.New":
				add(failure, literal(n.Args[0]), n)
			case name == "poll.NotDone":
				add(waiting, literal(n.Args[1]), n)
			case strings.HasSuffix(name, ".Warn"):
				text := literal(n.Args[1])
				if _, known := warningsMadeIn[types.ExprString(n.Args[1])]; madeElsewhere(text) && !known {
					t.Errorf("%s: the text of this warning is made elsewhere: say in warningsMadeIn by which function", p.where(n))
				}
				add(warning, text, n)
			case strings.HasSuffix(name, ".warnOf"): // also in an Event of the Node
				add(warning, literal(n.Args[3]), n)
			case name == "fmt.Sprintf" && warns:
				add(warning, literal(n), n)
			case name == "fmt.Sprintf" && errorText:
				add(waiting, literal(n), n)
			}
		case *ast.KeyValueExpr:
			if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Status" {
				add(waiting, literal(n.Value), n)
			}
		}
		return true
	})
	return all
}

func receiver(f *ast.FuncDecl) string {
	typ := f.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if name, ok := typ.(*ast.Ident); ok {
		return name.Name
	}
	return ""
}

func (p program) where(n ast.Node) string { return place(p.fset.Position(n.Pos())) }

func place(at token.Position) string {
	if rel, err := filepath.Rel(root, at.Filename); err == nil && fs.ValidPath(filepath.ToSlash(rel)) {
		return fmt.Sprintf("%s:%d", filepath.ToSlash(rel), at.Line)
	}
	return at.String()
}

// texts are all texts that are written anywhere in the program, with … for verbs and for what is added to them.
func (p program) texts() (all []string) {
	for _, files := range p.files {
		for _, file := range files {
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.BasicLit:
					if n.Kind == token.STRING {
						all = append(all, blanks(literal(n)))
					}
				case *ast.BinaryExpr:
					all = append(all, blanks(literal(n)))
				}
				return true
			})
		}
	}
	return all
}
