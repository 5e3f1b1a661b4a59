package cli_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apitypes "k8s.io/apimachinery/pkg/types"
)

func service(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyAlways }

// eventsOf are the Events of a reason that the steps recorded on Nodes.
func (w *world) eventsOf(reason string) (messages []string) { return w.eventsOn("Node", "", reason) }

// eventsOn are those on one object, or on all of a kind.
func (w *world) eventsOn(kind, name, reason string) (messages []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if of := e.InvolvedObject; e.Reason == reason && of.Kind == kind && (of.Name == name || name == "") {
			messages = append(messages, e.Type+": "+e.Message)
		}
	}
	return messages
}

// A budget that never allows an eviction ends the recycle after evict-timeout, over attempts, with a warning at half time. The
// node is parked; submitted again, the recycle has its whole time again, and ends once the budget lets it.
func TestAnEvictionThatNeverMoves(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.withArgo(workflow("a", "a", ""))
		id := []string{"--instance-id", w.ids[0], "--evict-timeout", "50m", "--poll-window", "20m"}
		for _, step := range []string{"standby", "taint", "drain"} {
			w.run("a", step, id...)
		}
		w.pod(w.ids[0], "web", 0, service)
		w.pod(w.ids[0], "other", 0, service)
		w.block("web", "web-pdb")
		for n, workflow := range []string{"a", "b"} {
			began := time.Now()
			o := w.run(workflow, "evict", id...)
			if took := time.Since(began); o.code != 1 || took < 50*time.Minute-time.Second || took > 51*time.Minute {
				t.Errorf("exit %d after %s: %s", o.code, took, o.result.Message)
			}
			if !strings.Contains(o.result.Message, "none has gone for 50m0s: default/web is blocked: The disruption budget web-pdb") || !strings.Contains(o.result.Hint, "let the budget") {
				t.Errorf("it says %q, hint %q", o.result.Message, o.result.Hint)
			}
			if events := w.eventsOn("Pod", "web", "RecycleBlocked"); len(events) != 2*(n+1) || !strings.Contains(events[2*n], "Warning: node "+w.nodeOf(w.ids[0]).Name+" is being recycled, and this pod is blocked: The disruption budget web-pdb") {
				t.Errorf("events on the pod that blocks: %q", events)
			}
			if events := w.eventsOn("Pod", "other", "RecycleBlocked"); len(events) > 0 {
				t.Errorf("events on a pod that went: %q", events)
			}
			if events := w.eventsOf("RecycleBlocked"); len(events) != 2*(n+1) || !strings.Contains(events[2*n], "Warning: no pod has gone for half of the evict-timeout of 50m0s; then the recycle fails: default/web is blocked") {
				t.Errorf("events %q", events)
			}
			if o := w.run(workflow, "settle", append(id, "--workflow-status", "Failed")...); o.code != 0 || !strings.Contains(o.result.Message, "stays on standby") || !w.balances() {
				t.Errorf("settle: exit %d: %s", o.code, o.result.Message)
			}
		}
		w.block("web", "")
		for _, step := range append(slices.Clone(recycleSteps), "settle") {
			if o := w.run("c", step, id...); o.code != 0 {
				t.Fatalf("step %s: %s", step, o.stderr)
			}
		}
		w.whole(w.ids[1:]...)
	})
}

// A node whose kubelet is dead is recycled with no word of its pods: those that matter were told to end, and nobody does it.
func TestANodeWhoseKubeletIsDead(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.withArgo(workflow("a", "a", ""))
		w.pod(w.ids[0], "batch", 0, func(p *corev1.Pod) {
			p.DeletionTimestamp, p.Finalizers = ptr(metav1.NewTime(time.Now().Add(30*time.Second))), []string{"batch.kubernetes.io/job-tracking"}
		})
		w.pod(w.ids[0], "web", 0, func(p *corev1.Pod) {
			service(p)
			p.DeletionTimestamp, p.Finalizers = ptr(metav1.NewTime(time.Now().Add(30*time.Second))), []string{"example.com/kept"}
		})
		w.notReady(w.ids[0])
		began := time.Now()
		for _, step := range recycleSteps {
			o := w.run("a", step, "--instance-id", w.ids[0], "--poll-window", "20m")
			if o.code != 0 {
				t.Fatalf("step %s: %s", step, o.stderr)
			}
			lost := strings.Contains(strings.Join(o.result.Warnings, " "), "are lost")
			if want := step == "drain" || step == "evict"; lost != want {
				t.Errorf("step %s says that pods are lost: %t, %v", step, lost, o.result.Warnings)
			}
		}
		if took := time.Since(began); took > 15*time.Minute {
			t.Errorf("it took %s", took)
		}
		if events := w.eventsOf("RecycleLostPods"); len(events) != 2 || !strings.Contains(events[0], "Warning: 1 pod(s) on node") {
			t.Errorf("events %q", events)
		}
	})
}

// notReady is what the node controller makes of a Node whose kubelet does not report.
func (w *world) notReady(id string) {
	w.Helper()
	n := w.nodeOf(id).DeepCopy()
	for i := range n.Status.Conditions {
		if n.Status.Conditions[i].Type == corev1.NodeReady {
			n.Status.Conditions[i].Status = corev1.ConditionUnknown
		}
	}
	if _, err := w.kube.CoreV1().Nodes().UpdateStatus(w.Context(), n, metav1.UpdateOptions{}); err != nil {
		w.Fatal(err)
	}
}

// What tolerates the taint goes down with the instance, and is named.
func TestPodsThatTolerateTheTaintGoWithTheInstance(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.withArgo(workflow("a", "a", ""))
		w.pod(w.ids[0], "operator", 0, func(p *corev1.Pod) {
			service(p)
			p.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
		})
		for _, step := range recycleSteps {
			o := w.run("a", step, "--instance-id", w.ids[0])
			if named := strings.Contains(strings.Join(o.result.Warnings, " "), "tolerate the taint of node"); o.code != 0 || named != (step == "evict") {
				t.Errorf("step %s exits %d, names the pod: %t", step, o.code, named)
			}
		}
		if len(w.evictions) > 0 || len(w.eventsOf("RecycleTolerated")) != 1 {
			t.Errorf("evicted %v; events %q", w.evictions, w.eventsOf("RecycleTolerated"))
		}
		w.whole(w.ids[1:]...)
	})
}

// An evicted pod's volume is waited for, until it is free or six minutes have passed.
func TestVolumesOfEvictedPods(t *testing.T) {
	for name, c := range map[string]struct {
		frees, took time.Duration
		warns       bool
	}{
		"detached in time": {2 * time.Minute, 2 * time.Minute, false},
		"never detached":   {time.Hour, 6 * time.Minute, true},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.close(w.ids[0])
				volume := "pv-db"
				a := &storagev1.VolumeAttachment{ObjectMeta: metav1.ObjectMeta{Name: "csi-1"}}
				a.Spec.NodeName, a.Spec.Source.PersistentVolumeName = w.nodeOf(w.ids[0]).Name, &volume
				attachments := w.kube.StorageV1().VolumeAttachments()
				if _, err := attachments.Create(w.Context(), a, metav1.CreateOptions{}); err != nil {
					t.Fatal(err)
				}
				go func() {
					time.Sleep(c.frees)
					_ = attachments.Delete(context.Background(), a.Name, metav1.DeleteOptions{})
				}()
				began := time.Now()
				o := w.step("evict", "--instance-id", w.ids[0])
				if took := time.Since(began); o.code != 0 || took < c.took || took > c.took+30*time.Second || (len(o.result.Warnings) > 0) != c.warns {
					t.Errorf("exit %d after %s: %s %v", o.code, took, o.result.Message, o.result.Warnings)
				}
				time.Sleep(2 * time.Hour)
			})
		})
	}
}

// Pods that ask not to be disrupted matter, unless that is turned off; the record hands the choice on to the exit handler.
func TestPodsThatAskNotToBeDisruptedAreWaitedFor(t *testing.T) {
	for _, flag := range []string{"--do-not-disrupt=true", "--do-not-disrupt=false"} {
		inWorld(t, nil, func(w *world) {
			w.withArgo(workflow("a", "a", ""))
			id := []string{"--instance-id", w.ids[0], flag}
			w.run("a", "standby", id...)
			w.run("a", "taint", id...)
			w.pod(w.ids[0], "notebook", 3*time.Hour, func(p *corev1.Pod) {
				service(p)
				p.UID = apitypes.UID("notebook")
				p.Annotations = map[string]string{"karpenter.sh/do-not-disrupt": "true"}
			})
			began := time.Now()
			w.run("a", "drain", id...)
			if waited := time.Since(began) >= 3*time.Hour; waited != (flag == "--do-not-disrupt=true") {
				t.Errorf("%s: it waited %s", flag, time.Since(began))
			}
			if text := w.lease(w.ids[0]).Annotations["eks-recycle.io/record"]; strings.Contains(text, `"disruptable":true`) != (flag == "--do-not-disrupt=false") {
				t.Errorf("%s: the record is %s", flag, text)
			}
		})
	}
}

// Before a node is touched, standby says what will be waited for and which evictions would be refused; so do the rehearsals of
// drain and evict, and nobody is evicted by that.
func TestWhatWouldBlockIsSaidBefore(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.withArgo(workflow("a", "a", ""))
		w.pod(w.ids[0], "batch", 0, func(p *corev1.Pod) {
			p.Status.Phase = corev1.PodPending
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}}}}
		})
		w.pod(w.ids[0], "web", 0, service)
		w.pod(w.ids[0], "free", 0, service)
		w.block("web", "web-pdb")
		id := []string{"--instance-id", w.ids[0]}
		o := w.run("a", "standby", id...)
		warned := strings.Join(o.result.Warnings, "\n")
		if o.code != 0 || !strings.Contains(warned, "eviction of pod default/web is blocked: The disruption budget web-pdb") || strings.Contains(warned, "free") {
			t.Errorf("exit %d: warnings %q", o.code, warned)
		}
		if !slices.Equal(o.result.Pods, []string{"default/batch"}) || !strings.Contains(o.stderr, "Pending: ImagePullBackOff") {
			t.Errorf("it will wait for %v\n%s", o.result.Pods, o.stderr)
		}
		for _, step := range []string{"drain", "evict"} {
			o := w.run("a", step, append(id, "--dry-run")...)
			if text := o.result.Message + strings.Join(o.result.Warnings, " "); o.code != 0 || !strings.Contains(text, map[string]string{"drain": "Pending: ImagePullBackOff", "evict": "web-pdb"}[step]) {
				t.Errorf("step %s exits %d: %s", step, o.code, text)
			}
		}
		if len(w.evictions) > 0 {
			t.Errorf("evicted %v", w.evictions)
		}
	})
}

// The owner of a pod that ran for too long sees it on the pod.
func TestPodsThatRunTooLongAreWarnedOf(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		id := w.ids[0]
		w.close(id)
		for i := range 12 {
			w.pod(id, fmt.Sprintf("batch-%02d", i), 0, nil)
		}
		for range 10 {
			if o := w.step("drain", "--instance-id", id, "--max-wait", "125m"); o.code == 1 {
				break
			}
		}
		all := w.eventsOn("Pod", "", "RecycleTimedOut")
		if len(all) != 10 || all[0] != "Warning: node "+w.nodeOf(id).Name+" is being recycled, and this pod still ran after 2h5m0s: the node stays cordoned" || len(w.eventsOf("RecycleTimedOut")) != 1 {
			t.Errorf("events on pods: %q", all)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, e := range w.events {
			if of := e.InvolvedObject; of.Kind == "Pod" && (e.Namespace != "default" || of.Namespace != "default" || of.UID != apitypes.UID("uid-"+of.Name)) {
				t.Errorf("event in namespace %s on %+v", e.Namespace, of)
			}
		}
	})
}
