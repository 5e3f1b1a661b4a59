package e2e

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// paste runs the one command of a page that a fragment is, or is in, with this scenario's names in the place of those that the page
// has, and returns what it prints; logs of step are not part of that.
func (s *scenario) paste(page, fragment string, instance ...string) string {
	s.Helper()
	all := commands(s, page)
	found := slices.DeleteFunc(slices.Clone(all), func(c string) bool { return !strings.Contains(c, fragment) })
	if slices.Contains(all, fragment) {
		found = []string{fragment}
	}
	if len(found) != 1 {
		s.Fatalf("%s has %d commands with %q in them: %q", page, len(found), fragment, found)
	}
	if s.pasted == nil {
		s.pasted = map[string]bool{}
	}
	s.pasted[found[0]] = true
	command := strings.NewReplacer("prod", s.cluster.ClusterName, "workers", s.group, "upgrade-", s.group+"-",
		"i-0123456789abcdef0", strings.Join(instance, ""), "bin/step", s.cluster.Step).Replace(found[0])
	cmd := exec.CommandContext(s.Context(), "sh", "-c", command)
	cmd.Env = s.cluster.Env("/usr/bin:/bin")
	out, err := cmd.Output()
	if err != nil {
		s.Fatalf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}

// commands are those of a page in docs that work on this sandbox: those of AWS's own command line are not among them.
func commands(s *scenario, page string) (all []string) {
	s.Helper()
	text, err := os.ReadFile("../../docs/" + page)
	s.must(err)
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		for line := range strings.SplitSeq(strings.ReplaceAll(block[1], "\\\n", " "), "\n") {
			if program, _, _ := strings.Cut(line, " "); program == "argo" || program == "kubectl" || program == "bin/step" {
				all = append(all, line)
			}
		}
	}
	return all
}
