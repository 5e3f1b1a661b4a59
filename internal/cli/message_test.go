package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Argo keeps the message of each attempt in the Workflow: twenty attempts must fit, however many pods are named.
func TestTheMessageThatArgoKeepsOfAnAttemptIsShort(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.close(w.ids[0])
		for i := range 12 {
			w.pod(w.ids[0], fmt.Sprintf("nightly-feature-store-backfill-customers-%02d", i), 0, nil)
		}
		dir := w.TempDir()
		drain := func(flags ...string) (o outcome, kept string) {
			o = w.step("drain", append([]string{"--instance-id", w.ids[0], "--output-dir", dir}, flags...)...)
			text, err := os.ReadFile(filepath.Join(dir, "message"))
			if err != nil {
				w.Fatal(err)
			}
			return o, string(text)
		}
		o, kept := drain("--poll-window", "1m", "--max-wait", "1h")
		if len(kept) > 250 || !strings.HasPrefix(kept, "not done yet: 12 pod(s) on node") || !strings.HasSuffix(kept, "…") {
			w.Errorf("%d bytes are kept: %s", len(kept), kept)
		}
		if o.code != 75 || !strings.Contains(o.result.Message, "customers-09") {
			w.Errorf("exit %d: %s", o.code, o.result.Message)
		}
		if o, kept := drain("--max-wait", "1m"); o.code != 1 || kept != o.result.Message {
			w.Errorf("exit %d: %s\nis kept as: %s", o.code, o.result.Message, kept)
		}
	})
}
