package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// What runs with the repository's rights is pinned to a commit, may no more than it needs, and calls targets that there are.
func TestGitHubWorkflows(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, ".github", "workflows", "*.yml"))
	if err != nil || len(files) == 0 {
		t.Fatal("there are no workflows", err)
	}
	makefile := read(t, "Makefile")
	pinned := regexp.MustCompile(`^[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var workflow struct {
			Permissions map[string]string `json:"permissions"`
			Jobs        map[string]struct {
				Timeout int `json:"timeout-minutes"`
			} `json:"jobs"`
		}
		if err := yaml.Unmarshal(text, &workflow); err != nil {
			t.Fatal(err)
		}
		if len(workflow.Permissions) != 1 || workflow.Permissions["contents"] != "read" {
			t.Errorf("%s: permissions are %v, want contents: read, and more only for the job that needs it", file, workflow.Permissions)
		}
		for name, job := range workflow.Jobs {
			if job.Timeout == 0 {
				t.Errorf("%s: job %s has no timeout", file, name)
			}
		}
		uses := 0
		for line := range strings.SplitSeq(string(text), "\n") {
			if _, action, found := strings.Cut(line, "uses: "); found {
				uses++
				if !pinned.MatchString(action) {
					t.Errorf("%s: %q is not pinned to a commit, with its version as a comment", file, action)
				}
			}
			for _, target := range regexp.MustCompile(`\bmake ([a-z][a-z0-9-]*)`).FindAllStringSubmatch(line, -1) {
				if !regexp.MustCompile(`(?m)^`+target[1]+`:`).MatchString(makefile) && !strings.Contains(line, "apt-get") {
					t.Errorf("%s: there is no target %s", file, target[1])
				}
			}
		}
		if uses == 0 {
			t.Errorf("%s uses no action", file)
		}
	}
}
