// Package checks_test holds the scripts and images around the code to what the Makefile says of them.
package checks_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const root = "../.."

// script writes a shell script that stands in for a program.
func script(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

// run runs a script of the repository and returns all that it prints, and its exit code.
func run(t *testing.T, env []string, name string, args ...string) (string, int) {
	t.Helper()
	read(t, filepath.Join("test", name)) // so that go test runs this again when the script changes
	command := exec.CommandContext(t.Context(), filepath.Join("test", name), args...)
	command.Dir, command.Env = root, append(command.Environ(), env...)
	output, err := command.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(output), command.ProcessState.ExitCode()
}

func TestVulnerabilitiesFailAndADatabaseOutOfReachDoesNot(t *testing.T) {
	for name, c := range map[string]struct {
		govulncheck string
		code        int
		notRun      bool
	}{
		"nothing is found":                    {"echo No vulnerabilities found.", 0, false},
		"the code reaches a vulnerability":    {"echo Your code is affected; exit 3", 3, false},
		"the database cannot be reached":      {"echo govulncheck: fetching vulnerabilities: no such host >&2; exit 1", 0, true},
		"the code cannot be read":             {"echo govulncheck: loading packages >&2; exit 1", 1, false},
		"govulncheck panics over an entry":    {"echo panic: >&2; exit 2", 2, false},
		"a database of another address is it": {`[ "$1" = -db=file:///mirror ] || exit 1`, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "reports", "vuln.not-run")
			output, code := run(t, []string{"GOVULNDB=file:///mirror"}, "vuln.sh", script(t, c.govulncheck), file)
			reason, err := os.ReadFile(file)
			if code != c.code || (err == nil) != c.notRun || c.notRun && !strings.Contains(string(reason), "no such host") {
				t.Errorf("exit %d, reason %q, %v\n%s", code, reason, err, output)
			}
		})
	}
}

func TestAPartThatWasNotRunIsNamedAndHasNotPassed(t *testing.T) {
	fake := script(t, `case $2 in
bad) exit 1 ;;
absent) echo no such host >"$REPORTS/absent.not-run" ;;
esac`)
	for name, c := range map[string]struct {
		parts []string
		code  int
		want  []string
	}{
		"all pass":          {[]string{"good"}, 0, []string{"good           0s  passed\n", "passed: good\n"}},
		"one is not run":    {[]string{"absent", "good"}, 0, []string{"== not run: absent\nno such host\n", "absent         0s  not run\n", "\npassed: good\n"}},
		"and another fails": {[]string{"absent", "bad", "good"}, 1, []string{"== not run: absent\nno such host\n", "bad            0s  failed\n", "failed: bad\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			reports := t.TempDir()
			if err := os.WriteFile(filepath.Join(reports, "good.not-run"), []byte("of an earlier run"), 0o600); err != nil {
				t.Fatal(err)
			}
			output, code := run(t, []string{"MAKE=" + fake, "REPORTS=" + reports}, "parts.sh", c.parts...)
			if code != c.code || strings.Contains(output, "earlier") {
				t.Errorf("exit %d\n%s", code, output)
			}
			for _, part := range c.want {
				if !strings.Contains(output, part) {
					t.Errorf("it lacks %q:\n%s", part, output)
				}
			}
		})
	}
}
