package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/eks-recycle/eks-recycle/internal/fleet"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	ktesting "k8s.io/client-go/testing"
)

// shutdowns are what the children were asked to do, by instance.
func (a *argoWorld) shutdowns() map[string]string {
	list, err := a.dynamic.Resource(workflowsResource).Namespace("eks-recycle").List(a.Context(), metav1.ListOptions{})
	if err != nil {
		a.Fatal(err)
	}
	asked := map[string]string{}
	for i := range list.Items {
		if how, found, _ := unstructured.NestedString(list.Items[i].Object, "spec", "shutdown"); found {
			asked[strings.TrimPrefix(list.Items[i].GetName(), "recycle-")] = how
		}
	}
	return asked
}

// A fleet that is stopped leaves its recycles alone unless it is told otherwise; those that have ended it never touches.
func TestFleetThatIsStopped(t *testing.T) {
	for name, c := range map[string]struct {
		flags string
		stops bool
		says  string
	}{
		"leaves its recycles to finish": {"--workflow-status Failed", false, "1 node(s) recycled, 0 skipped, 0 failed, 1 in progress: they are left to finish"},
		"stops them if it is told to":   {"--workflow-status Failed --stop-children", true, "1 node(s) recycled, 0 skipped, 0 failed, 1 in progress: they are stopped"},
		"and not after a success":       {"--workflow-status Succeeded --stop-children", false, "1 node(s) recycled, 0 skipped, 0 failed, 1 in progress"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				a := newArgoWorld(w, nil)
				a.run = func(map[string]string) string {
					time.Sleep(time.Duration(len(a.order)*len(a.order)) * 10 * time.Minute)
					return ""
				}
				a.parent("fleet-1")
				flags := []string{"--workflow-name", "eks-recycle/fleet-1", "--asg", group}
				if o := w.stepAs(w.Context(), "fleet-1", "fleet", append(flags, "--poll-window", "20m")...); o.code != 75 || len(a.order) != 2 {
					w.Fatalf("exit %d, begun %v\n%s", o.code, a.order, o.stderr)
				}
				o := w.stepAs(w.Context(), "fleet-1", "fleet", append(strings.Fields(c.flags), "--finish", "--workflow-name", "eks-recycle/fleet-1")...)
				want := map[string]string{}
				if c.stops {
					want[a.order[1]] = "Stop"
				}
				if diff := cmp.Diff(want, a.shutdowns()); o.code != 0 || o.result.Message != c.says || diff != "" {
					w.Errorf("exit %d: %s\n%s", o.code, o.result.Message, diff)
				}
				if len(o.result.Changes) != len(want) || len(a.order) != 2 {
					w.Errorf("changes %v, begun %v", o.result.Changes, a.order)
				}
				time.Sleep(time.Hour) // the end of the one in progress
			})
		})
	}
}

// A recycle that failed because there was nothing to recycle any more is no failure, and the fleet goes on.
func TestFleetTellsFailuresFromWhatWasSuperfluous(t *testing.T) {
	terminated := func(w *world, id string) {
		if err := w.sim.ActOutside(id, "terminate"); err != nil {
			w.Error(err)
		}
		time.Sleep(2 * time.Minute)
	}
	for name, c := range map[string]struct {
		while  func(w *world, id string)
		says   string
		failed bool
	}{
		"somebody asked to leave it alone":   {func(*world, string) {}, "node n is annotated eks-recycle.io/skip because: Skipped", false},
		"it was terminated from outside":     {terminated, "instance is terminated", false},
		"it was terminated long ago":         {func(w *world, id string) { terminated(w, id); time.Sleep(3 * time.Hour) }, "unknown to EC2", false},
		"it was terminated by its recycle":   {func(w *world, id string) { retiring(w, id); terminated(w, id) }, "deleting the node", true},
		"it runs, and cannot be replaced":    {func(*world, string) {}, "no replacement in service", true},
		"it is being retired and still runs": {retiring, "stopping the instance", true},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				a := newArgoWorld(w, nil)
				a.run = func(child map[string]string) string {
					if len(a.order) > 1 {
						time.Sleep(5 * time.Minute)
						return ""
					}
					c.while(w, child["instance-id"])
					return c.says
				}
				read := 0
				a.dynamic.PrependReactor("get", "workflows", func(ktesting.Action) (bool, runtime.Object, error) {
					read++
					return false, nil, nil
				})
				a.parent("fleet-1")
				dir := t.TempDir()
				o, _ := a.fleet(w.Context(), "fleet-1", "--asg", group, "--poll-window", "9h", "--output-dir", dir)
				begun, outcome, code := 3, "Skipped", 0
				if c.failed {
					begun, outcome, code = 1, "Failed", 1
				}
				if o.code != code || len(a.order) != begun || o.result.Fleet == nil {
					w.Fatalf("exit %d: %+v; begun %v\n%s", o.code, o.result, a.order, o.stderr)
				}
				i := slices.IndexFunc(o.result.Fleet.Nodes, func(n fleet.NodeOutcome) bool { return n.InstanceID == a.order[0] })
				if n := o.result.Fleet.Nodes[i]; n.Outcome != outcome || n.Reason != "standby: "+strings.TrimSuffix(c.says, " because: Skipped") || n.Duration == "" || n.Workflow != "recycle-"+n.InstanceID {
					w.Errorf("%+v", n)
				}
				if read != 1 {
					w.Errorf("the workflow that failed was read %d times", read)
				}
				var kept fleet.Summary
				text, err := os.ReadFile(filepath.Join(dir, "summary"))
				if err != nil || json.Unmarshal(text, &kept) != nil || len(kept.Nodes) != 1 || kept.Nodes[0].Outcome != outcome || kept.Recycled != begun-1 {
					w.Errorf("the output parameter is %s", text)
				}
			})
		})
	}
}

func retiring(w *world, id string) {
	_, err := w.ec2.CreateTags(w.Context(), &ec2.CreateTagsInput{Resources: []string{id}, Tags: []ec2types.Tag{{Key: aws.String("eks-recycle.io/retired-at"), Value: aws.String("now")}}})
	if err != nil {
		w.Error(err)
	}
}

// The output parameter is kept in the status of the fleet's Workflow: it does not grow with the fleet.
func TestFleetsSummaryIsShort(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.resized("MaxSize", 60)
		w.resized("DesiredCapacity", 40)
		a := newArgoWorld(w, nil)
		a.run = func(map[string]string) string {
			time.Sleep(time.Minute)
			if len(a.order) > 30 {
				return ""
			}
			return "no replacement in service"
		}
		a.parent("fleet-1")
		dir := t.TempDir()
		progress := filepath.Join(dir, "progress")
		o, _ := a.fleet(w.Context(), "fleet-1", "--asg", group, "--on-failure", "continue", "--max-unavailable", "10", "--output-dir", dir, "--progress-file", progress)
		var kept fleet.Summary
		text, err := os.ReadFile(filepath.Join(dir, "summary"))
		if o.code != 1 || err != nil || json.Unmarshal(text, &kept) != nil {
			w.Fatalf("exit %d, %v: %s", o.code, err, text)
		}
		if kept.Failed+kept.Recycled != 40 || kept.Failed != o.result.Fleet.Failed || len(kept.Nodes) != 20 || kept.Nodes[0].Outcome != "Failed" || len(o.result.Fleet.Nodes) != 40 {
			w.Errorf("%d bytes: %s", len(text), text)
		}
		if text, _ := os.ReadFile(progress); string(text) != "40/40" {
			w.Errorf("progress is %s", text)
		}
	})
}

// Recycles get the parameters of the fleet, and know which one asked for them.
// A controller that leaves a fleet's recycles alone is said: the fleet would wait for 30 days.
func TestAFleetWhoseRecyclesNobodyTakesUp(t *testing.T) {
	for _, absent := range []bool{true, false} {
		inWorld(t, nil, func(w *world) {
			a := newArgoWorld(w, func(map[string]string) string { time.Sleep(time.Hour); return "" })
			a.noController = absent
			a.parent("fleet-1")
			o, _ := a.fleet(w.Context(), "fleet-1", "--asg", group, "--limit", "1", "--poll-window", "11h")
			if said := strings.Contains(strings.Join(o.result.Warnings, " "), "no workflow controller has taken it up"); said != absent {
				t.Errorf("exit %d, warnings %v", o.code, o.result.Warnings)
			}
		})
	}
}

func TestFleetHandsItsParametersOn(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		var got map[string]string
		a := newArgoWorld(w, func(child map[string]string) string { got = child; return "" })
		a.parent("fleet-1")
		o, _ := a.fleet(w.Context(), "fleet-1", "--asg", group, "--limit", "1", "--label-selector", "app=batch", "--namespace", "jobs", "--cluster", "prod", "--region", "eu-west-1",
			"--action", "terminate", "--max-wait", "20h", "--evict-timeout", "3h", "--do-not-disrupt=false", "--on-timeout", "evict", "--replacement-timeout", "40m", "--window", "Mon-Fri 22:00-05:00 Europe/Berlin; Sat,Sun 00:00-24:00 Europe/Berlin",
			"--poll-window", "11h", "--log-level", "debug")
		want := map[string]string{
			"label-selector": "app=batch", "namespace": "jobs", "cluster": "prod", "region": "eu-west-1", "action": "terminate", "evict": "true", "max-wait": "20h0m0s", "evict-timeout": "3h0m0s", "do-not-disrupt": "false",
			"on-timeout": "evict", "replacement-timeout": "40m0s", "log-level": "debug", "window": "Mon-Fri 22:00-05:00 Europe/Berlin; Sat,Sun 00:00-24:00 Europe/Berlin",
			"fleet": "eks-recycle/fleet-1", "instance-id": a.order[0], "name": "recycle-" + a.order[0], "uid": "child-1", "template": "recycle-node",
		}
		if diff := cmp.Diff(want, got); o.code != 0 || diff != "" {
			w.Errorf("exit %d, parameters (-want +got):\n%s", o.code, diff)
		}
	})
}
