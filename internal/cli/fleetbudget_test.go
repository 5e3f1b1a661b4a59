package cli_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ktesting "k8s.io/client-go/testing"

	"github.com/eks-recycle/eks-recycle/internal/claim"
	"github.com/eks-recycle/eks-recycle/internal/poll"
)

// claims are those of another hand.
func (w *world) claims(holder string, duration time.Duration) claim.Claims {
	return claim.Claims{Leases: w.kube.CoordinationV1().Leases("eks-recycle"), Holder: holder, Workflow: holder, Duration: duration, Log: slog.New(slog.DiscardHandler)}
}

// holds claims an instance.
func (w *world) holds(holder string, duration time.Duration, id, group string) error {
	_, err := w.claims(holder, duration).Acquire(w.Context(), id, func(r *claim.Record) { r.Group = group })
	return err
}

// killedWithLock leaves a lock behind, as a process that was killed does.
func (w *world) killedWithLock(lock func(poll.Loop, func(context.Context) error) error) error {
	killed := errors.New("killed")
	err := lock(poll.Loop{Interval: time.Second, Log: slog.New(slog.DiscardHandler)}, func(context.Context) error { return killed })
	if errors.Is(err, killed) {
		return nil
	}
	return err
}

// Whoever recycles nodes uses up the budget: it is free again when a claim ends, or expires because nobody renews it.
func TestFleetCountsWhatOthersDo(t *testing.T) {
	const held = 10 * time.Minute
	for name, c := range map[string]struct {
		before func(w *world) error
		flags  string
		waits  bool // until what others hold has expired
	}{
		"somebody recycles a node of the group": {func(w *world) error {
			return w.holds("somebody", held, w.ids[0], group)
		}, "", true},
		"a budget of two has room for one more": {func(w *world) error {
			return w.holds("somebody", held, w.ids[0], group)
		}, "--max-unavailable 2", false},
		"somebody recycles a node of another group": {func(w *world) error {
			return w.holds("somebody", held, "i-0123456789abcdef0", "another")
		}, "", false},
		"a recycle's hold on its group is no node more": {func(w *world) error {
			return w.killedWithLock(func(wait poll.Loop, act func(context.Context) error) error {
				return w.claims("somebody", held).WithGroupLock(w.Context(), wait, group, w.ids[0], act)
			})
		}, "", false},
		"another fleet is just starting its recycles": {func(w *world) error {
			return w.killedWithLock(func(wait poll.Loop, act func(context.Context) error) error {
				return w.claims("somebody", held).WithFleetLock(w.Context(), wait, act)
			})
		}, "--max-unavailable 3", true},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				a := newArgoWorld(w, nil)
				began := time.Now()
				var first time.Duration
				a.run = func(map[string]string) string {
					if first == 0 {
						first = time.Since(began)
					}
					time.Sleep(time.Minute)
					return ""
				}
				if err := c.before(w); err != nil {
					w.Fatal(err)
				}
				a.parent("fleet-1")
				o, _ := a.fleet(w.Context(), "fleet-1", append(strings.Fields(c.flags), "--asg", group)...)
				if o.code != 0 || len(a.order) != 3 {
					w.Fatalf("exit %d, begun %v\n%s", o.code, a.order, o.stderr)
				}
				if waited := first >= held; waited != c.waits || first > held+2*time.Minute {
					w.Errorf("the first recycle begins after %s", first)
				}
			})
		})
	}
}

// A person's recycle, as its steps write it down, counts in its own group. Its replacement is older than the fleet.
func TestFleetWaitsForAPersonsRecycle(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		a := newArgoWorld(w, nil)
		w.pod(w.ids[0], "batch", time.Hour, nil)
		began := time.Now()
		go func() {
			for _, step := range recycleSteps {
				w.doneAs("somebody", step, "--instance-id", w.ids[0])
			}
			w.doneAs("somebody", "settle", "--instance-id", w.ids[0], "--workflow-status", "Succeeded")
		}()
		time.Sleep(2 * time.Minute)
		var first time.Duration
		a.run = func(child map[string]string) string {
			if first == 0 {
				first = time.Since(began)
			}
			return a.recycleChild(child)
		}
		a.parent("fleet-1")
		o, _ := a.fleet(w.Context(), "fleet-1", "--asg", group)
		if o.code != 0 || o.result.Fleet.Recycled != 3 || first < time.Hour || first > 70*time.Minute {
			w.Errorf("exit %d, %+v; the first recycle begins after %s\n%s", o.code, o.result.Fleet, first, o.stderr)
		}
		w.nothingLeft()
	})
}

// Recycles of another fleet count before they have claimed their nodes.
func TestFleetCountsRecyclesThatHaveJustBeenCreated(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.resized("MaxSize", 9)
		w.resized("DesiredCapacity", 6)
		a := newArgoWorld(w, func(map[string]string) string { time.Sleep(10 * time.Minute); return "" })
		codes := make(chan outcome, 2)
		for _, name := range []string{"fleet-1", "fleet-2"} {
			a.parent(name)
			go func() {
				o, _ := a.fleet(w.Context(), name, "--asg", group, "--max-unavailable", "3", "--max-parallel-per-zone", "1")
				codes <- o
			}()
		}
		for range 2 {
			if o := <-codes; o.code != 0 {
				w.Errorf("exit %d\n%s", o.code, o.stderr)
			}
		}
		if a.peak > 3 || len(a.order) < 6 {
			w.Errorf("%d at once, begun %v", a.peak, a.order)
		}
	})
}

// The limit of one recycle a zone counts those of all fleets and attempts: an attempt that is killed forgets what it began.
func TestFleetKeepsToItsZones(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.resized("MaxSize", 9)
		w.resized("DesiredCapacity", 9)
		zone := map[string]string{}
		for _, m := range w.group().Instances {
			zone[aws.ToString(m.InstanceId)] = aws.ToString(m.AvailabilityZone)
		}
		a := newArgoWorld(w, nil)
		a.run = func(child map[string]string) string {
			a.mu.Lock()
			perZone := map[string]int{}
			for id := range a.inProgress {
				perZone[zone[id]]++
			}
			a.mu.Unlock()
			for _, n := range perZone {
				if n > 1 {
					w.Errorf("in progress by zone: %v", perZone)
				}
			}
			// Zones become free one after the other, so that who is next is not the next in turn.
			time.Sleep(time.Duration(5+7*len(child["instance-id"])%11+len(a.order)) * time.Minute)
			return ""
		}
		for _, name := range []string{"fleet-1", "fleet-2"} {
			a.parent(name)
		}
		done := make(chan outcome, 2)
		for _, name := range []string{"fleet-1", "fleet-2"} {
			go func() {
				o, _ := a.fleet(w.Context(), name, "--asg", group, "--max-unavailable", "9", "--max-parallel-per-zone", "1", "--poll-window", "3m")
				done <- o
			}()
		}
		if first, second := <-done, <-done; first.code+second.code != 0 || a.peak != 3 {
			w.Errorf("exit %d and %d, %d at once", first.code, second.code, a.peak)
		}
	})
}

func TestFleetWithALimitBelowItsBudget(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		a := newArgoWorld(w, func(map[string]string) string { time.Sleep(30 * time.Minute); return "" })
		a.parent("fleet-1")
		o, attempts := a.fleet(w.Context(), "fleet-1", "--asg", group, "--max-unavailable", "3", "--limit", "2", "--poll-window", "10m")
		if o.code != 0 || len(a.order) != 2 || attempts < 3 || o.result.Fleet.NotStarted != 1 {
			w.Errorf("exit %d after %d attempts, begun %v: %s", o.code, attempts, a.order, o.result.Message)
		}
	})
}

// Whatever bound a person gives for the age of nodes, replacements are younger than the fleet and not its business.
func TestFleetDoesNotRecycleReplacements(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		a := newArgoWorld(w, nil)
		a.run = a.recycleChild
		a.parent("fleet-1")
		later := time.Now().Add(24 * time.Hour).Format(time.RFC3339)
		o, _ := a.fleet(w.Context(), "fleet-1", "--asg", group, "--launched-before", later, "--poll-window", "2m", "--limit", "6")
		if o.code != 0 || len(a.order) != 3 {
			w.Errorf("exit %d, begun %v", o.code, a.order)
		}
	})
}

// A failed recycle of an earlier attempt does not count as one that was not started.
func TestFleetThatStopsSaysWhatIsLeft(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		a := newArgoWorld(w, func(map[string]string) string { time.Sleep(25 * time.Minute); return "no replacement in service" })
		a.parent("fleet-1")
		o, attempts := a.fleet(w.Context(), "fleet-1", "--asg", group, "--poll-window", "10m")
		if o.code != 1 || attempts != 3 || o.result.Fleet.Failed != 1 || o.result.Fleet.NotStarted != 2 {
			w.Errorf("exit %d after %d attempts: %+v", o.code, attempts, o.result.Fleet)
		}
	})
}

// The API server may refuse a Workflow for a moment, and show one late: no node is lost or recycled twice for it.
func TestFleetStartsEachNodeOnce(t *testing.T) {
	for name, trouble := range map[string]func(a *argoWorld){
		"a creation fails": func(a *argoWorld) {
			failed := map[string]bool{}
			a.dynamic.PrependReactor("create", "workflows", func(action ktesting.Action) (bool, runtime.Object, error) {
				o := action.(ktesting.CreateAction).GetObject().(metav1.Object)
				if !failed[o.GetName()] {
					failed[o.GetName()] = true
					return true, nil, apierrors.NewServiceUnavailable("the webhook does not answer")
				}
				return false, nil, nil
			})
		},
		"the watch is late": func(a *argoWorld) { a.late = 90 * time.Second },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				a := newArgoWorld(w, func(map[string]string) string { time.Sleep(5 * time.Minute); return "" })
				trouble(a)
				a.parent("fleet-1")
				o, attempts := a.fleet(w.Context(), "fleet-1", "--asg", group, "--poll-window", "3h")
				if o.code != 0 || attempts != 1 || o.result.Fleet.Recycled != 3 || len(a.order) != 3 || a.peak != 1 {
					w.Errorf("exit %d after %d attempts: %s; begun %v, %d at once\n%s", o.code, attempts, o.result.Message, a.order, a.peak, o.stderr)
				}
			})
		})
	}
}

// A node that another fleet has a Workflow for is passed over, and the next one has its place.
func TestFleetLeavesToAnotherFleetWhatIsItsOwn(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		a := newArgoWorld(w, func(map[string]string) string { return "no replacement in service" })
		a.parent("fleet-1")
		if o, _ := a.fleet(w.Context(), "fleet-1", "--asg", group, "--limit", "1", "--on-failure", "continue"); o.code != 1 {
			w.Fatalf("exit %d\n%s", o.code, o.stderr)
		}
		failed := a.order[0]
		a.run = func(map[string]string) string { return "" }
		a.parent("fleet-2") // the Workflow of fleet-1 has not ended: its exit handler runs
		o, _ := a.fleet(w.Context(), "fleet-2", "--asg", group)
		if o.code != 0 || o.result.Fleet.Recycled != 2 || o.result.Fleet.Skipped != 1 || !strings.Contains(o.stderr, "another fleet has a workflow for it") {
			w.Errorf("exit %d: %+v\n%s", o.code, o.result.Fleet, o.stderr)
		}
		a.parentEnds("fleet-1")
		a.parent("fleet-3")
		if o, _ := a.fleet(w.Context(), "fleet-3", "--asg", group, "--limit", "1"); o.code != 0 || a.order[len(a.order)-1] != failed {
			w.Errorf("exit %d, begun %v; %s has failed\n%s", o.code, a.order, failed, o.stderr)
		}
	})
}

// A second look meets what has become of a node while it waited.
func TestFleetLooksAgainAtTheNode(t *testing.T) {
	for name, c := range map[string]struct {
		while func(w *world, id string)
		says  string
	}{
		"it is to be left alone": {func(w *world, id string) {
			w.editNode(id, func(n *corev1.Node) { n.Annotations["eks-recycle.io/skip"] = "true" })
		}, "it is annotated eks-recycle.io/skip"},
		"somebody else recycles it": {func(w *world, id string) { w.step("standby", "--instance-id", id, "--workflow-uid", "somebody") }, "it is being recycled already"},
		"it is gone": {func(w *world, id string) {
			if err := w.sim.ActOutside(id, "terminate"); err != nil {
				w.Error(err)
			}
			time.Sleep(10 * time.Minute)
		}, "it is gone"},
		"another instance has its name": {func(w *world, id string) {
			n := w.nodeOf(id)
			n.Spec.ProviderID = "aws:///eu-central-1a/i-0123456789abcdef0"
			if _, err := w.kube.CoreV1().Nodes().Update(context.Background(), n, metav1.UpdateOptions{}); err != nil {
				w.Error(err)
			}
		}, "it is gone"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				a := newArgoWorld(w, nil)
				var changed string
				a.run = func(child map[string]string) string {
					if len(a.order) == 1 {
						changed = slices.DeleteFunc(slices.Clone(w.ids), func(id string) bool { return id == child["instance-id"] })[0]
						c.while(w, changed)
						time.Sleep(30 * time.Minute)
					}
					return ""
				}
				a.parent("fleet-1")
				o, _ := a.fleet(w.Context(), "fleet-1", "--asg", group, "--poll-window", "3h")
				if o.code != 0 || slices.Contains(a.order, changed) || len(a.order) != 2 || !strings.Contains(o.stderr, fmt.Sprintf("because=%q", c.says)) {
					w.Errorf("exit %d: %+v; begun %v\n%s", o.code, o.result.Fleet, a.order, o.stderr)
				}
			})
		})
	}
}

// Groups whose instances have weights count them by the head: their desired capacity is no number of nodes.
func TestFleetsShareOfAWeightedGroup(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.template("nodes", "ami-1", "m5.large")
		w.anotherGroup("weighted", 16, func(in *autoscaling.CreateAutoScalingGroupInput) {
			in.MixedInstancesPolicy = &types.MixedInstancesPolicy{LaunchTemplate: &types.LaunchTemplate{
				LaunchTemplateSpecification: in.LaunchTemplate, Overrides: []types.LaunchTemplateOverrides{{InstanceType: aws.String("m5.large"), WeightedCapacity: aws.String("4")}},
			}}
			in.LaunchTemplate, in.MaxSize = nil, aws.Int32(40)
		})
		a := newArgoWorld(w, nil)
		a.run = a.recycleChild
		a.parent("fleet-1")
		o, _ := a.fleet(w.Context(), "fleet-1", "--asg", "weighted", "--max-unavailable", "50%")
		if o.code != 0 || o.result.Fleet.Recycled != 4 || a.peak != 2 {
			w.Errorf("exit %d: %+v; %d at once\n%s", o.code, o.result.Fleet, a.peak, o.stderr)
		}
	})
}
