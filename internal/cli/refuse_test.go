package cli_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// What cannot be recycled is refused at the first attempt, with one clear line; nothing is changed, and settle, which runs
// after that failure, finds nothing to do.
func TestRefusalsChangeNothing(t *testing.T) {
	karpenter := map[string]string{"karpenter.sh/nodepool": "default"}
	for name, c := range map[string]struct {
		given   func(*world) (flags []string)
		code    int
		message string
	}{
		"a malformed id": {func(*world) []string { return []string{"--instance-id", "i-42"} }, 1, `instance id "i-42" is malformed`},
		"an unknown id":  {func(*world) []string { return []string{"--instance-id", "i-0123456789abcdef0"} }, 1, "is unknown to EC2"},
		"both an instance and a node": {func(w *world) []string {
			return []string{"--instance-id", w.ids[0], "--node", w.nodeOf(w.ids[0]).Name}
		}, 2, "give exactly one of --instance-id and --node"},
		"a malformed selector": {func(w *world) []string {
			return []string{"--instance-id", w.ids[0], "--label-selector", "app in (batch"}
		}, 2, `label selector "app in (batch" is malformed`},
		"Karpenter's": {func(w *world) []string {
			return []string{"--instance-id", w.loner(awssim.InstanceSpec{Tags: karpenter, NodeLabels: karpenter, JoinsCluster: true})}
		}, 1, `managed by Karpenter (NodePool "default")`},
		"a group that may launch nothing": {func(w *world) []string {
			w.suspends("Launch")
			return []string{"--instance-id", w.ids[0]}
		}, 1, "process Launch of Auto Scaling group"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				flags := c.given(w)
				before := w.actions()
				if o := w.step("standby", flags...); o.code != c.code || !strings.Contains(o.result.Message, c.message) {
					w.Errorf("exit %d: %s", o.code, o.stderr)
				}
				w.step("settle", append(flags, "--workflow-status", "Failed")...)
				if diff := cmp.Diff(before, w.actions()); diff != "" {
					w.Errorf("calls that change something (-before +after):\n%s", diff)
				}
				w.whole(w.ids...)
			})
		})
	}
}
