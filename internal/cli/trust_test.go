package cli_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apitypes "k8s.io/apimachinery/pkg/types"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// forgedNode makes a Node that says it is an instance, with all marks that a recycle ever makes.
func (w *world) forgedNode(name, id string) {
	w.Helper()
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: apitypes.UID("forged-" + name), Labels: map[string]string{"eks-recycle.io/leaving": id}, Annotations: forgedAnnotations()},
		Spec:       corev1.NodeSpec{ProviderID: "aws:///eu-central-1a/" + id, Unschedulable: true, Taints: []corev1.Taint{{Key: leavingTaint, Effect: corev1.TaintEffectNoSchedule}}},
		Status:     corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}},
	}
	if _, err := w.kube.CoreV1().Nodes().Create(w.Context(), n, metav1.CreateOptions{}); err != nil {
		w.Fatal(err)
	}
}

func forgedAnnotations() map[string]string {
	return map[string]string{
		"eks-recycle.io/workflow": "argo/none", "eks-recycle.io/retiring-since": "2020-01-01T00:00:00Z", "eks-recycle.io/members": "i-00000000",
		"eks-recycle.io/started-at": "2000-01-01T00:00:00Z", "eks-recycle.io/replacement": "i-00000000", "eks-recycle.io/wait-started-at": "2000-01-01T00:00:00Z",
		"eks-recycle.io/before": `{"unschedulable":true}`, "eks-recycle.io/recycle": "requested",
	}
}

// forgedLease is a record as somebody who may write Leases in the namespace makes it.
func (w *world) forgedLease(id string, annotations map[string]string, edit func(*coordinationv1.Lease)) {
	w.Helper()
	holder, seconds := "nobody", int32(1)
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
		Name: "eks-recycle-" + id, Namespace: "eks-recycle", Labels: map[string]string{"app.kubernetes.io/name": "eks-recycle"},
		Annotations: map[string]string{"eks-recycle.io/workflow": "argo/none", "eks-recycle.io/asg": group},
	}}
	lease.Spec.HolderIdentity, lease.Spec.LeaseDurationSeconds, lease.Spec.RenewTime = &holder, &seconds, &metav1.MicroTime{Time: time.Now().Add(-time.Hour)}
	maps.Copy(lease.Annotations, annotations)
	if edit != nil {
		edit(lease)
	}
	if _, err := w.kube.CoordinationV1().Leases("eks-recycle").Create(w.Context(), lease, metav1.CreateOptions{}); err != nil {
		w.Fatal(err)
	}
}

// attack is what somebody writes, and what a step is then asked for.
type attack struct {
	who   string
	write func(w *world, attacker, victim string)
	steps []string // "step flags…"; NODE is the attacker's Node, FORGED a made-up one, VICTIM the other instance
}

var everyStep = []string{"standby", "taint", "drain", "evict", "retire", "settle --workflow-status Failed", "restore"}

func about(flag string, steps ...string) (all []string) {
	for _, step := range steps {
		all = append(all, step+" "+flag)
	}
	return all
}

func attacks() []attack {
	node := func(write func(w *world, attacker, victim string)) func(*world, string, string) { return write }
	record := func(annotations map[string]string) func(*world, string, string) {
		return func(w *world, _, victim string) { w.forgedLease(victim, annotations, nil) }
	}
	others := append(about("--node FORGED", everyStep...), "sweep", "sweep --cluster sandbox")
	sweeps := []string{"sweep", "sweep --cluster sandbox", "sweep --cluster other"}
	all := []attack{
		{"a Node of another name with the victim's providerID", node(func(w *world, _, victim string) { w.forgedNode("forged", victim) }), others},
		{"a Node of another name beside the victim's own that is gone", func(w *world, _, victim string) {
			_ = w.kube.CoreV1().Nodes().Delete(w.Context(), w.nodeOf(victim).Name, metav1.DeleteOptions{})
			w.forgedNode("forged", victim)
		}, append(others, "sweep --cluster other")},
		{"a kubelet that registers anew with the victim's providerID", func(w *world, attacker, victim string) {
			name := w.nodeOf(attacker).Name
			_ = w.kube.CoreV1().Nodes().Delete(w.Context(), name, metav1.DeleteOptions{})
			w.forgedNode(name, victim)
		}, append(about("--node NODE", everyStep...), sweeps...)},
		{"a kubelet that says which instance its own replaces", func(w *world, attacker, victim string) {
			w.editNode(attacker, func(n *corev1.Node) { n.Labels["eks-recycle.io/replaces"] = victim })
		}, sweeps},
		{"a kubelet that marks its Node as retiring", func(w *world, attacker, _ string) {
			w.editNode(attacker, func(n *corev1.Node) {
				maps.Copy(n.Annotations, forgedAnnotations())
				n.Labels["eks-recycle.io/leaving"] = attacker
				n.Spec.Unschedulable, n.Spec.Taints = true, []corev1.Taint{{Key: leavingTaint, Effect: corev1.TaintEffectNoSchedule}}
			})
		}, append(about("--instance-id ATTACKER", "taint", "retire", "settle --workflow-status Failed"), sweeps...)},
		{"a record that says the victim retires", record(map[string]string{"eks-recycle.io/record": `{"retiringSince":"2020-01-01T00:00:00Z","replaced":true,"action":"terminate"}`}), sweeps},
		{"a record of the victim with another cluster's steps", record(map[string]string{"eks-recycle.io/record": `{"retiringSince":"2020-01-01T00:00:00Z"}`}),
			append(about("--instance-id VICTIM --cluster other", everyStep...), "sweep --cluster other")},
		{"a record that lowers the capacity by a weight below zero", record(map[string]string{"eks-recycle.io/record": `{"return":"{\"stage\":\"lowering\",\"desired\":1,\"weight\":-2}"}`}), sweeps},
		{"a record that lowers the capacity to nothing", record(map[string]string{"eks-recycle.io/record": `{"return":"{\"stage\":\"lowering\",\"desired\":3,\"weight\":3}"}`}), sweeps},
		{"a record of an instance that nobody knows, for the group", func(w *world, _, _ string) {
			w.forgedLease("i-00000000", map[string]string{"eks-recycle.io/record": `{"return":"{\"stage\":\"lowering\",\"desired\":1,\"weight\":-2}"}`, "eks-recycle.io/suspends": "Launch,AZRebalance,Terminate"}, nil)
		}, sweeps},
		{"a record that suspends what a recycle never does", record(map[string]string{"eks-recycle.io/suspends": "Launch,HealthCheck"}), sweeps},
		{"a record that cannot be read", record(map[string]string{"eks-recycle.io/record": "{"}), append(about("--instance-id VICTIM", "settle --workflow-status Failed", "retire"), sweeps...)},
		{"tags of a retirement on an instance that serves", func(w *world, _, victim string) {
			tags := map[string]string{"retired-at": "2020-01-01T00:00:00Z", "workflow": "argo/none", "asg": group, "action": "terminate", "node": "x", "replacement": "i-00000000"}
			var all []ec2types.Tag
			for key, value := range tags {
				all = append(all, ec2types.Tag{Key: aws.String("eks-recycle.io/" + key), Value: aws.String(value)})
			}
			if _, err := w.ec2.CreateTags(w.Context(), &ec2.CreateTagsInput{Resources: []string{victim}, Tags: all}); err != nil {
				w.Fatal(err)
			}
			w.sim.ForgetCalls()
		}, append(about("--instance-id VICTIM", "taint", "drain", "evict", "retire", "settle --workflow-status Failed"), append(sweeps, "reap --older-than 1h --cluster sandbox")...)},
	}
	return all
}

// What others can write leads to nothing: no instance leaves service, nothing is stopped, no capacity or process changes, and the
// pods that matter run on.
func TestWhatOthersCanWriteLeadsToNothing(t *testing.T) {
	cells := 0
	for _, a := range attacks() {
		for _, step := range a.steps {
			cells++
			t.Run(a.who+"/"+step, func(t *testing.T) {
				inWorld(t, nil, func(w *world) {
					attacker, victim := w.ids[0], w.ids[1]
					w.suspends("HealthCheck")
					for i, id := range w.ids {
						w.pod(id, fmt.Sprintf("batch-%d", i), 0, nil)
					}
					w.withArgo()
					node := w.nodeOf(attacker).Name
					a.write(w, attacker, victim)
					w.sim.ForgetCalls()
					fields := strings.Fields(strings.NewReplacer("NODE", node, "FORGED", "forged", "VICTIM", victim, "ATTACKER", attacker).Replace(strings.ReplaceAll(step, "--node FORGED", "--node forged")))
					var o outcome
					for range 3 {
						if o = w.stepAs(w.Context(), "attacked", fields[0], append(fields[1:], "--workflow-name", "argo/attacked")...); o.code != 75 {
							break
						}
					}
					// A bring-back that a record invents suspends scale-in for a moment. Which processes are suspended then is checked below.
					harmless := []string{"DeleteTags", "SuspendProcesses", "ResumeProcesses"}
					if actions := slices.DeleteFunc(w.actions(), func(a string) bool { return slices.Contains(harmless, a) }); len(actions) > 0 {
						t.Errorf("exit %d, %s: calls %v", o.code, o.result.Message, actions)
					}
					if in := w.members("InService"); !slices.Equal(slices.Sorted(slices.Values(in)), slices.Sorted(slices.Values(w.ids))) || *w.group().DesiredCapacity != 3 {
						t.Errorf("in service %v of %v, desired %d", in, w.ids, *w.group().DesiredCapacity)
					}
					if len(w.group().SuspendedProcesses) != 1 || len(w.evictions) > 0 {
						t.Errorf("suspended %v, evicted %v", w.group().SuspendedProcesses, w.evictions)
					}
					if n := w.nodeOf(w.ids[2]); n.Spec.Unschedulable || len(n.Spec.Taints) > 0 {
						t.Errorf("a third node is cordoned or tainted: %+v", n.Spec)
					}
				})
			})
		}
	}
	t.Logf("%d attacks, %d times a step that meets one", len(attacks()), cells)
}

// Marks that were there before a recycle begins mean nothing to it.
func TestMarksFromBeforeMeanNothing(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.editNode(w.ids[0], func(n *corev1.Node) {
			maps.Copy(n.Annotations, forgedAnnotations())
			delete(n.Annotations, "eks-recycle.io/before")
			delete(n.Annotations, "eks-recycle.io/recycle")
		})
		w.withArgo(workflow("a", "a", ""))
		for _, step := range append(slices.Clone(recycleSteps), "settle") {
			if o := w.run("a", step, "--instance-id", w.ids[0]); o.code != 0 {
				t.Fatalf("step %s exits %d: %s", step, o.code, o.result.Message)
			}
		}
		w.whole(w.ids[1:]...)
	})
}

// A selection goes by the names that EC2 gives instances: a Node of another name cannot have one selected.
func TestAForgedNodeSelectsNoInstance(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		own := w.nodeOf(w.ids[1]).Name
		w.forgedNode("a-forged-one", w.ids[1])
		forged, err := w.kube.CoreV1().Nodes().Get(w.Context(), "a-forged-one", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		forged.Spec.Taints, forged.Spec.Unschedulable = nil, false // to be selected
		if _, err := w.kube.CoreV1().Nodes().Update(w.Context(), forged, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := w.kube.CoreV1().Nodes().Delete(w.Context(), own, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		if o := w.step("select", "--asg", group, "--requested"); o.code != 0 || len(o.result.Nodes) > 0 {
			t.Errorf("exit %d, selected %+v", o.code, o.result.Nodes)
		}
	})
}

// A claim that lasts for decades, by whomever, lasts an hour.
func TestAClaimForDecades(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.withArgo(workflow("a", "a", ""))
		w.forgedLease(w.ids[0], nil, func(l *coordinationv1.Lease) {
			decades := int32(1 << 30)
			l.Spec.LeaseDurationSeconds, l.Spec.RenewTime = &decades, &metav1.MicroTime{Time: time.Now()}
		})
		time.Sleep(61 * time.Minute)
		if o := w.run("sweep", "sweep"); o.code != 0 || w.lease(w.ids[0]) == nil {
			t.Logf("sweep exits %d: %+v", o.code, o.result.Left)
		}
		time.Sleep(24 * time.Hour * 365 * 35)
		if o := w.run("a", "standby", "--instance-id", w.ids[0]); o.code != 0 {
			t.Errorf("exit %d: %s", o.code, o.result.Message)
		}
	})
}

// Another cluster's steps, which see a Node of the right name and a record of their own, change nothing of this one's.
func TestAnotherClustersStepsChangeNothing(t *testing.T) {
	for _, forged := range []string{
		`{"replaced":true,"members":["i-1"]}`, `{"retiringSince":"2020-01-01T00:00:00Z","replaced":true,"action":"terminate"}`,
		`{"return":"{\"stage\":\"lowering\",\"desired\":3,\"weight\":1}"}`, `{}`,
	} {
		for _, step := range []string{"standby", "taint", "drain", "evict", "retire", "settle", "restore", "sweep"} {
			inWorld(t, nil, func(w *world) {
				w.withArgo(workflow("a", "a", ""))
				for _, before := range recycleSteps[:4] {
					w.run("a", before, "--instance-id", w.ids[0])
				}
				lease := w.lease(w.ids[0])
				if err := w.kube.CoordinationV1().Leases("eks-recycle").Delete(w.Context(), lease.Name, metav1.DeleteOptions{}); err != nil {
					t.Fatal(err)
				}
				w.forgedLease(w.ids[0], map[string]string{"eks-recycle.io/record": forged, "eks-recycle.io/suspends": "AZRebalance"}, nil)
				w.withArgo()
				w.sim.ForgetCalls()
				flags := []string{"--cluster", "other", "--workflow-name", "argo/attacked", "--action", "terminate"}
				if step != "sweep" {
					flags = append(flags, "--instance-id", w.ids[0])
				}
				var o outcome
				for range 3 {
					if o = w.stepAs(w.Context(), "attacked", step, flags...); o.code != 75 {
						break
					}
				}
				if len(w.actions()) > 0 {
					t.Errorf("record %s: step %s exits %d, %s: calls %v", forged, step, o.code, o.result.Message, w.actions())
				}
			})
		}
	}
}

// A process that somebody else has suspended is not resumed because a record of an instance that is not the group's says so.
func TestARecordResumesNothingOfAnotherGroup(t *testing.T) {
	for name, id := range map[string]func(*world) string{
		"an instance of another group":  func(w *world) string { return w.ids[0] },
		"an instance that nobody knows": func(*world) string { return "i-00000000" },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				victim := w.createOther("victims")
				w.suspendsIn(victim, "AZRebalance")
				w.withArgo()
				w.forgedLease(id(w), map[string]string{"eks-recycle.io/asg": victim, "eks-recycle.io/suspends": "AZRebalance"}, nil)
				w.sim.ForgetCalls()
				if o := w.run("sweep", "sweep"); len(w.actions()) > 0 || w.lease(id(w)) != nil {
					t.Errorf("exit %d, calls %v; the record is left: %t", o.code, w.actions(), w.lease(id(w)) != nil)
				}
			})
		})
	}
}

// createOther makes another group of one instance.
func (w *world) createOther(name string) string {
	w.Helper()
	_, err := w.groups.CreateAutoScalingGroup(w.Context(), &autoscaling.CreateAutoScalingGroupInput{
		AutoScalingGroupName: &name, MinSize: aws.Int32(0), MaxSize: aws.Int32(3), DesiredCapacity: aws.Int32(1), AvailabilityZones: []string{w.region + "a"},
		LaunchTemplate: &astypes.LaunchTemplateSpecification{LaunchTemplateName: aws.String("workers"), Version: aws.String("1")},
	})
	if err != nil {
		w.Fatal(err)
	}
	time.Sleep(3 * time.Minute)
	return name
}

func (w *world) suspendsIn(name string, processes ...string) {
	w.Helper()
	if _, err := w.groups.SuspendProcesses(w.Context(), &autoscaling.SuspendProcessesInput{AutoScalingGroupName: &name, ScalingProcesses: processes}); err != nil {
		w.Fatal(err)
	}
}
