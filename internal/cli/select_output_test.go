package cli_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eks-recycle/eks-recycle/internal/cli"
	"github.com/eks-recycle/eks-recycle/internal/fleet"
)

func TestSelectAsATable(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		var out, log bytes.Buffer
		code := cli.Run(w.Context(), []string{"step", "select", "--asg", group, "--limit", "1", "--output", "table", "--log-format", "text"}, w.streams("select", &out, &log))
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if code != 0 || len(lines) != 2 || !strings.HasPrefix(lines[0], "INSTANCE              NODE") || !strings.HasPrefix(lines[1], "i-") || !strings.HasSuffix(lines[1], "   all") {
			t.Errorf("exit %d\n%s\n%s", code, out.String(), log.String())
		}
		if strings.Index(lines[0], "GROUP") != strings.Index(lines[1], group) {
			t.Errorf("the columns are not aligned:\n%s", out.String())
		}
	})
}

func TestSelectWritesItsOutputParameters(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		for flag, want := range map[string]string{"--requested": "0", "--drifted=false": "3"} {
			dir := t.TempDir()
			w.done("select", "--asg", group, "--output-dir", dir, flag)
			count, err := os.ReadFile(filepath.Join(dir, "count"))
			if err != nil || string(count) != want {
				t.Errorf("%s: count %q, %v", flag, count, err)
			}
			text, err := os.ReadFile(filepath.Join(dir, "nodes"))
			var nodes []fleet.Candidate
			if err == nil {
				err = json.Unmarshal(text, &nodes)
			}
			if err != nil || nodes == nil || (len(nodes) > 0) != (want == "3") {
				t.Errorf("%s: nodes %q, %v", flag, text, err)
			}
		}
	})
}
