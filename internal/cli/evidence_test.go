package cli_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ktesting "k8s.io/client-go/testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// once makes the next call of an action fail with an error of AWS.
func (w *world) once(action, code, message string) {
	w.Helper()
	if err := w.sim.AddFaults(awssim.Fault{Action: action, Kind: awssim.FaultErrorBefore, Code: code, Message: message, Status: 400, Count: 1}); err != nil {
		w.Fatal(err)
	}
}

// tried runs a step until it is done or fails, as its retries do.
func (w *world) tried(step string, flags ...string) (o outcome) {
	w.Helper()
	for range 300 {
		if o = w.step(step, flags...); o.code != 75 {
			return o
		}
	}
	w.Fatalf("step %s is never done: %s", step, o.result.Message)
	return o
}

// An instance is being terminated before its Node has joined: the Node is waited for, and cordoned when it comes.
func TestAnEventBeforeTheNodeHasJoined(t *testing.T) {
	inWorld(t, func(c *awssim.Config) { c.NodeJoin = 2 * time.Minute }, func(w *world) {
		time.Sleep(5 * time.Minute)
		_, err := w.groups.SetDesiredCapacity(w.Context(), &autoscaling.SetDesiredCapacityInput{AutoScalingGroupName: aws.String(group), DesiredCapacity: aws.Int32(4)})
		if err != nil {
			w.Fatal(err)
		}
		young := ""
		for young == "" {
			time.Sleep(time.Second)
			for _, id := range w.members("InService") {
				if !slices.Contains(w.ids, id) {
					young = id
				}
			}
		}
		if o := w.tried("taint", w.terminating(young, 30*time.Minute)...); o.code != 0 || !w.nodeOf(young).Spec.Unschedulable {
			t.Errorf("exit %d: %s", o.code, o.result.Message)
		}
	})
}

// One that never joins is not waited for without end: nothing runs on it, so that the hook is completed. That holds only while Nodes of
// its group are here; otherwise this is another cluster's.
func TestAnEventOfAnInstanceWhoseNodeNeverJoins(t *testing.T) {
	for name, ours := range map[string]bool{"of a group whose Nodes are here": true, "of another cluster's group": false} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				ids := w.ids[:1]
				if !ours {
					ids = w.ids
				}
				for _, id := range ids {
					if err := w.sim.LeaveNode(id, awssim.LeaveDeleted); err != nil {
						w.Fatal(err)
					}
				}
				time.Sleep(time.Minute)
				if err := w.sim.Configure(func(c *awssim.Config) { c.NodeNeverJoins = true }); err != nil {
					w.Fatal(err)
				}
				began := time.Now()
				event := w.terminating(ids[0], time.Hour)
				failed, o := w.drainTerminating(event)
				if took := time.Since(began); took < 9*time.Minute || took > 15*time.Minute {
					t.Errorf("it took %s", took)
				}
				if !ours {
					if failed != "taint" || o.code != 1 || !strings.Contains(o.stderr, "has no Node in this cluster") {
						t.Errorf("step %q: exit %d %q", failed, o.code, o.stderr)
					}
					return
				}
				if failed != "" || !strings.Contains(o.result.Message, "has not joined the cluster within 10m0s") {
					t.Fatalf("step %q: exit %d %q\n%s", failed, o.code, o.result.Message, o.stderr)
				}
				if o := w.tries("lifecycle complete", append(event, "--workflow-status", "Succeeded")...); o.code != 0 || !strings.Contains(o.result.Message, "is completed: CONTINUE") {
					t.Errorf("complete: exit %d %q\n%s", o.code, o.result.Message, o.stderr)
				}
				if took := time.Since(began); took > 20*time.Minute {
					t.Errorf("the hook was completed after %s", took)
				}
			})
		})
	}
}

// One that is gone, or that EC2 has forgotten, while its group says that it waits: the hook is completed at once, and not left to
// its timeout.
func TestAnEventOfAnInstanceThatIsGone(t *testing.T) {
	for name, wait := range map[string]time.Duration{"terminated": 5 * time.Minute, "forgotten": 3 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				event := w.terminating(w.ids[0], 2*time.Hour)
				for range int(wait/time.Hour) + 1 { // somebody keeps it waiting
					if _, err := w.groups.RecordLifecycleActionHeartbeat(w.Context(), &autoscaling.RecordLifecycleActionHeartbeatInput{
						AutoScalingGroupName: aws.String(group), LifecycleHookName: aws.String(hookName), InstanceId: &w.ids[0],
					}); err != nil {
						w.Fatal(err)
					}
					if w.sim.ActOutside(w.ids[0], "terminate") == nil {
						time.Sleep(5 * time.Minute)
					}
					time.Sleep(min(wait, time.Hour))
				}
				began := time.Now()
				if failed, o := w.drainTerminating(event); failed != "" {
					t.Fatalf("step %s: exit %d %q\n%s", failed, o.code, o.result.Message, o.stderr)
				}
				o := w.tries("lifecycle complete", append(event, "--workflow-status", "Succeeded")...)
				if o.code != 0 || time.Since(began) > 15*time.Minute {
					t.Errorf("complete: exit %d %q after %s\n%s", o.code, o.result.Message, time.Since(began), o.stderr)
				}
				if waiting := w.members("Terminating:Wait"); len(waiting) > 0 {
					t.Errorf("waiting: %v", waiting)
				}
				w.unclaimed()
			})
		})
	}
}

const noAction = "No active Lifecycle Action found with instance ID i-0123456789abcdef0"

// Auto Scaling does not know an action for a moment, though the group says that the instance waits: before a step, and in the
// middle of a drain of many hours.
func TestALifecycleActionThatIsNotKnownForAMoment(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.pod(w.ids[0], "batch", 20*time.Hour, nil)
		event := w.terminating(w.ids[0], time.Hour)
		w.once("RecordLifecycleActionHeartbeat", "ValidationError", noAction)
		if o := w.tried("taint", event...); o.code != 0 {
			t.Errorf("taint exits %d: %s", o.code, o.result.Message)
		}
		go func() {
			select {
			case <-time.After(10 * time.Hour):
				w.once("RecordLifecycleActionHeartbeat", "ValidationError", noAction)
			case <-w.over:
			}
		}()
		if o := w.tried("drain", event...); o.code != 0 || len(w.members("Terminating:Wait")) != 1 {
			t.Errorf("drain exits %d: %s; waiting: %v", o.code, o.result.Message, w.members("Terminating:Wait"))
		}
	})
}

// EC2 is eventually consistent: once it does not know an instance that its group, its Node or a record knows.
func TestOneNotFoundOfEC2(t *testing.T) {
	for _, step := range []string{"taint", "retire", "settle"} {
		inWorld(t, nil, func(w *world) {
			id := []string{"--instance-id", w.ids[0]}
			for _, before := range []string{"standby", "taint", "drain", "evict"} {
				w.done(before, id...)
			}
			w.once("DescribeInstances", "InvalidInstanceID.NotFound", "The instance ID 'i-x' does not exist")
			flags := id
			if step == "settle" {
				flags = append(flags, "--workflow-status", "Failed")
			}
			if o := w.tried(step, flags...); o.code != 0 {
				t.Errorf("%s exits %d: %s", step, o.code, o.result.Message)
			}
			if step == "settle" && (w.lease(w.ids[0]) == nil || len(w.members("Standby")) != 1) {
				t.Errorf("after settle the record is there: %t; on standby: %v", w.lease(w.ids[0]) != nil, w.members("Standby"))
			}
		})
	}
}

func TestAReplacementThatEC2DoesNotKnowYet(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		go func() {
			for {
				select {
				case <-w.over:
					return
				case <-time.After(time.Second):
				}
				if len(w.members("InService")) == 3 && len(w.members("Standby"))+len(w.members("EnteringStandby")) == 1 {
					w.once("DescribeInstances", "InvalidInstanceID.NotFound", "The instance ID 'i-x' does not exist")
					return
				}
			}
		}()
		if o := w.tried("standby", "--instance-id", w.ids[0]); o.code != 0 {
			t.Errorf("exit %d: %s", o.code, o.result.Message)
		}
	})
}

// Terminated on standby, and unknown to EC2 since: its group lists it for ever, unless somebody takes it out.
func TestAStandbyEntryOfAnInstanceThatEC2HasForgotten(t *testing.T) {
	for _, steps := range [][]string{{"settle --workflow-status Failed"}, {"standby", "taint", "drain", "evict", "retire"}} {
		inWorld(t, nil, func(w *world) {
			w.done("standby", "--instance-id", w.ids[0])
			if err := w.sim.ActOutside(w.ids[0], "terminate"); err != nil {
				w.Fatal(err)
			}
			time.Sleep(3 * time.Hour) // nobody looks: argo terminate, a weekend
			for _, step := range steps {
				name, more, _ := strings.Cut(step, " ")
				if o := w.tried(name, append(strings.Fields(more), "--instance-id", w.ids[0])...); o.code != 0 {
					t.Errorf("step %s exits %d: %s", step, o.code, o.result.Message)
				}
			}
			if len(w.members("Standby")) > 0 {
				t.Errorf("%v: on standby by its group: %v", steps, w.members("Standby"))
			}
			w.nothingLeft()
			if !w.balances() {
				t.Error("AZRebalance is left suspended")
			}
		})
	}
}

// A single 401 ends nothing, nor do two with good answers between them; ten minutes of them do.
func TestCredentialsThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		refused []time.Duration // after the start, each for the time of refusing
		lasting time.Duration
		code    int
	}{
		"once":                          {[]time.Duration{time.Minute}, time.Second, 0},
		"twice, seven minutes apart":    {[]time.Duration{time.Minute, 8 * time.Minute}, time.Second, 0},
		"for nine minutes":              {[]time.Duration{time.Minute}, 9 * time.Minute, 0},
		"for a quarter of an hour":      {[]time.Duration{time.Minute}, 15 * time.Minute, 1},
		"from the start: never allowed": {[]time.Duration{0}, time.Hour, 1},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(c *awssim.Config) { c.NodeReady = 40 * time.Minute }, func(w *world) {
				began := time.Now()
				w.kube.PrependReactor("get", "nodes", func(ktesting.Action) (bool, runtime.Object, error) {
					for _, from := range c.refused {
						if since := time.Since(began); since >= from && since < from+c.lasting {
							return true, nil, apierrors.NewUnauthorized("Unauthorized")
						}
					}
					return false, nil, nil
				})
				if o := w.tried("standby", "--instance-id", w.ids[0], "--replacement-timeout", "2h"); o.code != c.code {
					t.Errorf("exit %d after %s: %s", o.code, time.Since(began), o.result.Message)
				}
			})
		})
	}
}

// An API server that starts answers 403 until it knows its roles: what was allowed before is asked for again.
func TestAForbiddenThatPasses(t *testing.T) {
	for name, c := range map[string]struct {
		verb, resource string
		from, lasting  time.Duration
		code           int
	}{
		"Nodes, in the wait for a replacement": {"get", "nodes", 30 * time.Second, time.Minute, 0},
		"a Node's marks":                       {"patch", "nodes", 0, time.Minute, 0},
		"Leases":                               {"update", "leases", 30 * time.Second, time.Minute, 0},
		"at the first call":                    {"get", "leases", 0, 10 * time.Second, 0},
		"for good":                             {"patch", "nodes", 0, time.Hour, 1},
		"from the first call on":               {"get", "leases", 0, time.Hour, 1},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				began := time.Now()
				w.kube.PrependReactor(c.verb, c.resource, func(action ktesting.Action) (bool, runtime.Object, error) {
					if since := time.Since(began); since >= c.from && since < c.from+c.lasting {
						return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: c.resource}, "x", nil)
					}
					return false, nil, nil
				})
				if o := w.tried("standby", "--instance-id", w.ids[0]); o.code != c.code {
					t.Errorf("exit %d after %s: %s", o.code, time.Since(began), o.result.Message)
				}
			})
		})
	}
}

// One 401 in the middle ends no fleet of days.
func TestAFleetOutlivesA401(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		a := newArgoWorld(w, nil)
		refuse := 0
		w.kube.PrependReactor("get", "nodes", func(ktesting.Action) (bool, runtime.Object, error) {
			if refuse > 0 {
				refuse--
				return true, nil, apierrors.NewUnauthorized("Unauthorized")
			}
			return false, nil, nil
		})
		a.run = func(map[string]string) string {
			time.Sleep(3 * time.Hour)
			refuse = min(len(a.order), 1)
			return ""
		}
		a.parent("fleet-1")
		if o, _ := a.fleet(w.Context(), "fleet-1", "--asg", group, "--poll-window", "12h"); o.code != 0 || len(a.order) != 3 {
			t.Errorf("exit %d, begun %d of 3: %s", o.code, len(a.order), o.result.Message)
		}
	})
}
