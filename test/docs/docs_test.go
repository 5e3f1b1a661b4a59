// Package docs_test keeps what people read true: links lead somewhere, the tables of the reference say what the
// WorkflowTemplate says, commands exist, messages are those of the program, and tests that are named are there.
package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

const root = "../.."

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// pages are the Markdown files of the repository, relative to its root.
func pages(t *testing.T) []string {
	t.Helper()
	pages, err := filepath.Glob(filepath.Join(root, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	pages = append(pages, filepath.Join(root, "terraform", "README.md"))
	err = filepath.WalkDir(filepath.Join(root, "docs"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".md" {
			pages = append(pages, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range pages {
		if pages[i], err = filepath.Rel(root, pages[i]); err != nil {
			t.Fatal(err)
		}
	}
	return pages
}

var (
	fence = regexp.MustCompile("(?s)```.*?```")
	link  = regexp.MustCompile(`\[([^\]]*)\]\(([^)\s]+)\)`)
)

func TestRelativeLinksLeadSomewhere(t *testing.T) {
	for _, page := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(read(t, page), ""), -1) {
			target, anchor, _ := strings.Cut(m[2], "#")
			if strings.Contains(target, "://") {
				continue
			}
			file := page
			if target != "" {
				file = filepath.Join(filepath.Dir(page), target)
			}
			info, err := os.Stat(filepath.Join(root, file))
			if err != nil {
				t.Errorf("%s: link to %s: %v", page, m[2], err)
				continue
			}
			if anchor != "" && (info.IsDir() || !slices.Contains(anchors(read(t, file)), anchor)) {
				t.Errorf("%s: link to %s: there is no such heading", page, m[2])
			}
		}
	}
}

// anchors are the names that GitHub gives to a page's headings.
func anchors(page string) (names []string) {
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(fence.ReplaceAllString(page, ""), -1) {
		plain := regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		names = append(names, strings.ReplaceAll(plain, " ", "-"))
	}
	return names
}

// table returns the cells of the table rows beneath a heading of a page, without the table's own head.
func table(t *testing.T, page, heading string) (rows [][]string) {
	t.Helper()
	_, rest, found := strings.Cut(page, "\n## "+heading+"\n")
	if !found {
		t.Fatalf("there is no heading %q", heading)
	}
	section, _, _ := strings.Cut(rest, "\n## ")
	for line := range strings.SplitSeq(section, "\n") {
		if strings.HasPrefix(line, "|") {
			cells := strings.Split(strings.Trim(line, "|"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			rows = append(rows, cells)
		}
	}
	if len(rows) < 3 {
		t.Fatalf("there is no table beneath %q", heading)
	}
	return rows[2:]
}

func TestParametersOfTheReferenceAreThoseOfTheTemplate(t *testing.T) {
	var wt v1alpha1.WorkflowTemplate
	if err := yaml.Unmarshal([]byte(read(t, "workflows/base/recycle-node.yaml")), &wt); err != nil {
		t.Fatal(err)
	}
	rows := table(t, read(t, "docs/reference.md"), "Parameters")
	var want, got []string
	for i, p := range wt.Spec.Arguments.Parameters {
		want = append(want, p.Name+"="+p.Value.String())
		for _, value := range p.Enum {
			if i < len(rows) && !strings.Contains(rows[i][2], "`"+value.String()+"`") {
				t.Errorf("the row of %q does not mention the value %q", p.Name, value)
			}
		}
	}
	for _, row := range rows {
		got = append(got, strings.Trim(row[0], "`")+"="+strings.Trim(row[1], "`"))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("parameters and defaults (-template +reference):\n%s", diff)
	}
}

func TestMakeTargetsThatPagesNameExist(t *testing.T) {
	makefile := read(t, "Makefile")
	code := regexp.MustCompile("`[^`\n]+`|(?s)```.*?```")
	command := regexp.MustCompile(`(?m)(?:^|[` + "`" + `;&] ?)make ((?:[a-z][a-z0-9-]*\b ?)+)`)
	named := 0
	for _, page := range pages(t) {
		for _, block := range code.FindAllString(read(t, page), -1) {
			for _, m := range command.FindAllStringSubmatch(block, -1) {
				for _, target := range strings.Fields(m[1]) {
					named++
					if !strings.Contains(makefile, "\n"+target+":") {
						t.Errorf("%s: there is no target %q in the Makefile", page, target)
					}
				}
			}
		}
	}
	if named < 8 {
		t.Errorf("found %d targets named in pages: does the test still read them?", named)
	}
}

func TestEveryDefectNamesTestsThatExist(t *testing.T) {
	page := read(t, "docs/defects.md")
	rows := regexp.MustCompile(`(?m)^\| (\d+) \|.*$`).FindAllStringSubmatch(page, -1)
	if len(rows) != 17 {
		t.Errorf("%d defects are listed, the system had 17", len(rows))
	}
	for _, row := range rows {
		tests := 0
		for _, m := range link.FindAllStringSubmatch(row[0], -1) {
			name, sub, _ := strings.Cut(strings.Trim(m[1], "`"), "/")
			if !strings.HasPrefix(name, "Test") {
				continue
			}
			tests++
			file := filepath.Join("docs", m[2])
			if !declares(t, file, name) {
				t.Errorf("defect %s: %s does not declare %s", row[1], file, name)
			}
			if sub != "" && !strings.Contains(read(t, file)+filepath.Base(file), sub) {
				t.Errorf("defect %s: %s knows no %s", row[1], file, sub)
			}
		}
		if tests == 0 {
			t.Errorf("defect %s names no test", row[1])
		}
	}
}

// declares looks for a test in the file, or, for a story, in the Go files of the folder above.
func declares(t *testing.T, file, test string) bool {
	t.Helper()
	files := []string{file}
	if filepath.Ext(file) == ".txt" {
		found, err := filepath.Glob(filepath.Join(root, filepath.Dir(file), "..", "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		files = files[:0]
		for _, f := range found {
			rel, err := filepath.Rel(root, f)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, rel)
		}
	}
	return slices.ContainsFunc(files, func(f string) bool { return strings.Contains(read(t, f), "func "+test+"(t *testing.T)") })
}

// The sandbox runs Argo with what the installation page tells people to set, in a namespace that enforces "restricted".
func TestTheSecurityContextOfTheInstallationPageIsTheTestedOne(t *testing.T) {
	type configMap struct{ Data map[string]string }
	type executor struct{ SecurityContext map[string]any }
	parse := func(document string) (e executor) {
		var cm configMap
		if err := yaml.Unmarshal([]byte(document), &cm); err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal([]byte(cm.Data["executor"]), &e); err != nil {
			t.Fatal(err)
		}
		return e
	}
	block := regexp.MustCompile("(?s)```yaml\n(data:.*?)```").FindStringSubmatch(read(t, "docs/install.md"))
	if block == nil {
		t.Fatal("the page shows no ConfigMap")
	}
	tested := parse(read(t, "internal/sandbox/manifests/argo/configmap.yaml"))
	if diff := cmp.Diff(tested, parse(block[1])); diff != "" || len(tested.SecurityContext) == 0 {
		t.Errorf("security context (-tested +documented):\n%s", diff)
	}
}

// Flags and steps that pages mention are those of the program.
func TestFlagsThatPagesMentionExist(t *testing.T) {
	source := ""
	files, err := filepath.Glob(filepath.Join(root, "internal/cli/*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !strings.HasSuffix(file, "_test.go") {
			source += read(t, strings.TrimPrefix(file, root))
		}
	}
	steps := read(t, "internal/cli/steps.go")
	use := regexp.MustCompile("(?:bin/)?step ([a-z]+)((?: --?[a-z-]+(?:[= ][^-\\s`]\\S*)?)*)")
	flag := regexp.MustCompile(`--([a-z-]+)`)
	checked := 0
	for _, page := range pages(t) {
		for _, code := range regexp.MustCompile("`[^`\n]+`|(?s)```.*?```").FindAllString(read(t, page), -1) {
			for _, m := range use.FindAllStringSubmatch(code, -1) {
				if !slices.Contains([]string{"help", "version", "completion"}, m[1]) && !strings.Contains(steps, `name: "`+m[1]+`", `) {
					t.Errorf("%s: %q: there is no step %q", page, m[0], m[1])
				}
				for _, f := range flag.FindAllStringSubmatch(m[2], -1) {
					checked++
					if f[1] != "help" && !strings.Contains(source, `"`+f[1]+`"`) {
						t.Errorf("%s: %q: there is no flag --%s", page, m[0], f[1])
					}
				}
			}
		}
	}
	if checked < 4 {
		t.Errorf("found %d flags in pages: does the test still read them?", checked)
	}
}
