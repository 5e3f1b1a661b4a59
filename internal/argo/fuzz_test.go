package argo_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eks-recycle/eks-recycle/internal/argo"
)

// A value can be anything: it holds names that others gave, and messages of AWS and of the API server. What is written is
// what Argo reads, and nothing else appears in the folder. Keys are the program's own and plain, so no others are tried.
func FuzzOutputsAreWhatWasWritten(f *testing.F) {
	for _, name := range []string{"message", "node-name", "{{x}}", ".tmp-*", strings.Repeat("n", 300)} {
		f.Add(name, "{{steps.standby.outputs.parameters.message}}", "again")
		f.Add(name, "line\nline\x00\xff", "")
	}
	f.Fuzz(func(t *testing.T, name, first, second string) {
		if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
			return
		}
		dir := t.TempDir()
		for _, value := range []string{first, second} {
			err := argo.WriteOutputs(dir, map[string]string{name: value})
			want := map[string]string{name: value}
			if err != nil {
				want = map[string]string{} // too long for a file's name
			}
			if diff := cmp.Diff(want, content(t, dir)); diff != "" {
				t.Errorf("%q (-want +got), error %v:\n%s", name, err, diff)
			}
		}
	})
}

// Argo takes N/M with 0 ≤ N ≤ M and M > 0 only (https://argo-workflows.readthedocs.io/en/latest/progress/).
func FuzzProgressIsWhatArgoTakes(f *testing.F) {
	for _, seed := range [][2]int{{0, 0}, {0, 1}, {3, 2}, {-1, 5}, {1 << 62, -1}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, done, total int) {
		path := filepath.Join(t.TempDir(), "progress")
		if err := argo.Progress(path, done, total); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if os.IsNotExist(err) && total <= 0 {
			return
		}
		var n, m int
		if _, scanErr := fmt.Sscanf(string(data), "%d/%d", &n, &m); err != nil || scanErr != nil || n < 0 || n > m || m <= 0 {
			t.Errorf("progress %q of %d/%d: %v, %v", data, done, total, err, scanErr)
		}
	})
}
