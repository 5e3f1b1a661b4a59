package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A name that no scenario has would let make compat pass without it.
func TestCompatRunsScenariosThatExist(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^COMPAT := \^\((.*)\)\$\$$`).FindSubmatch(makefile)
	if found == nil {
		t.Fatal("the Makefile names no scenarios for make compat")
	}
	files, err := filepath.Glob("../e2e/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		code.Write(content)
	}
	for name := range strings.SplitSeq(string(found[1]), "|") {
		if !strings.Contains(code.String(), "\nfunc "+name+"(") {
			t.Errorf("make compat runs %s, which test/e2e does not have", name)
		}
	}
}
