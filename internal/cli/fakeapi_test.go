package cli_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"time"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"
)

// fakeAPI is client-go's fake with what it lacks of an API server: field selectors in list and watch, label selectors in
// watch, and evictions that respect budgets and UIDs. It is the simple one: NewClientset,
// which is to replace it, writes down who manages which field; nothing here asks, and that costs a third of a recycle.
func (w *world) fakeAPI() *fake.Clientset {
	kube := fake.NewSimpleClientset()
	w.completeAPI(&kube.Fake, kube.Tracker())
	return kube
}

// another is a second client of the same cluster, with reactors of its own.
func (w *world) another() *fake.Clientset {
	kube, tracker := &fake.Clientset{}, w.kube.Tracker()
	kube.AddReactor("*", "*", ktesting.ObjectReaction(tracker))
	kube.AddWatchReactor("*", func(action ktesting.Action) (bool, watch.Interface, error) {
		watching, err := tracker.Watch(action.GetResource(), action.GetNamespace())
		return true, watching, err
	})
	w.completeAPI(&kube.Fake, tracker)
	return kube
}

func (w *world) completeAPI(kube *ktesting.Fake, tracker ktesting.ObjectTracker) {
	for _, resource := range []string{"pods", "nodes"} {
		kube.PrependReactor("list", resource, func(action ktesting.Action) (bool, runtime.Object, error) {
			list := action.(ktesting.ListActionImpl)
			all, err := tracker.List(list.GetResource(), list.GetKind(), list.GetNamespace(), list.GetListOptions())
			if err != nil {
				return true, nil, err
			}
			items, err := meta.ExtractList(all)
			if err != nil {
				return true, nil, err
			}
			kept := items[:0]
			for _, item := range items {
				if selected(item, list.GetListRestrictions().Labels, list.GetListRestrictions().Fields) {
					kept = append(kept, item)
				}
			}
			return true, all, meta.SetList(all, kept)
		})
		kube.PrependWatchReactor(resource, func(action ktesting.Action) (bool, watch.Interface, error) {
			watching := action.(ktesting.WatchActionImpl)
			all, err := tracker.Watch(watching.GetResource(), watching.GetNamespace(), watching.ListOptions)
			if err != nil {
				return true, nil, err
			}
			return true, newSelectedWatch(all, watching.GetWatchRestrictions()), nil
		})
	}
	kube.PrependReactor("patch", "nodes", func(action ktesting.Action) (bool, runtime.Object, error) {
		patched, err := w.patchNode(tracker, action.(ktesting.PatchAction))
		return true, patched, err
	})
	kube.PrependReactor("create", "events", func(action ktesting.Action) (bool, runtime.Object, error) {
		event := action.(ktesting.CreateAction).GetObject().(*corev1.Event)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.events = append(w.events, *event)
		return true, event, nil
	})
	kube.PrependReactor("create", "pods", func(action ktesting.Action) (bool, runtime.Object, error) {
		eviction, ok := action.(ktesting.CreateAction).GetObject().(*policyv1.Eviction)
		if !ok || action.GetSubresource() != "eviction" {
			return false, nil, nil
		}
		return true, nil, w.evict(tracker, eviction)
	})
}

// patchNode refuses a patch of an older version, as an API server does, and counts versions.
func (w *world) patchNode(tracker ktesting.ObjectTracker, action ktesting.PatchAction) (*corev1.Node, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	nodes := corev1.SchemeGroupVersion.WithResource("nodes")
	object, err := tracker.Get(nodes, "", action.GetName())
	if err != nil {
		return nil, err
	}
	var patch, patched corev1.Node
	if err := json.Unmarshal(action.GetPatch(), &patch); err != nil {
		return nil, err
	}
	current := object.(*corev1.Node)
	if patch.ResourceVersion != current.ResourceVersion || patch.UID != current.UID {
		return nil, apierrors.NewConflict(corev1.Resource("nodes"), action.GetName(), fmt.Errorf("the object has been modified"))
	}
	before, err := json.Marshal(current)
	if err != nil {
		return nil, err
	}
	after, err := jsonpatch.MergePatch(before, action.GetPatch())
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(after, &patched); err != nil {
		return nil, err
	}
	w.version++
	patched.ResourceVersion = strconv.Itoa(w.version)
	return &patched, tracker.Update(nodes, &patched, "")
}

// selectedWatch passes on what its selectors let through. It ends with Stop even if nobody reads any more, which
// apimachinery's watch.Filter does not.
type selectedWatch struct {
	all     watch.Interface
	events  chan watch.Event
	stopped chan struct{}
	once    sync.Once
}

func newSelectedWatch(all watch.Interface, r ktesting.WatchRestrictions) *selectedWatch {
	s := &selectedWatch{all: all, events: make(chan watch.Event), stopped: make(chan struct{})}
	go func() {
		defer close(s.events)
		for event := range all.ResultChan() {
			if !selected(event.Object, r.Labels, r.Fields) {
				event.Type = watch.Deleted // what no longer fits the selector is deleted for this watch
			}
			select {
			case s.events <- event:
			case <-s.stopped:
				return
			}
		}
	}()
	return s
}

func (s *selectedWatch) ResultChan() <-chan watch.Event { return s.events }

func (s *selectedWatch) Stop() {
	s.once.Do(func() { close(s.stopped); s.all.Stop() })
}

// grace is how long an evicted pod takes to go.
const grace = 5 * time.Second

func (w *world) evict(tracker ktesting.ObjectTracker, e *policyv1.Eviction) error {
	pods := corev1.SchemeGroupVersion.WithResource("pods")
	object, err := tracker.Get(pods, e.Namespace, e.Name) // the client would wait for itself
	if err != nil {
		return err
	}
	p := object.(*corev1.Pod)
	if uid := e.DeleteOptions.Preconditions.UID; uid == nil || *uid != p.UID {
		return apierrors.NewConflict(corev1.Resource("pods"), e.Name, fmt.Errorf("precondition failed"))
	}
	w.mu.Lock()
	budget := w.budget[e.Name]
	w.mu.Unlock()
	if budget != "" {
		blocked := apierrors.NewTooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", 0)
		blocked.ErrStatus.Details.Causes = append(blocked.ErrStatus.Details.Causes, metav1.StatusCause{
			Type: policyv1.DisruptionBudgetCause, Message: fmt.Sprintf("The disruption budget %s needs 1 healthy pods and has 1 currently", budget),
		})
		return blocked
	}
	if len(e.DeleteOptions.DryRun) > 0 {
		return nil
	}
	w.mu.Lock()
	w.evictions[e.Name] = eviction{time.Now(), e.DeleteOptions.GracePeriodSeconds}
	w.mu.Unlock()
	go func() {
		time.Sleep(grace)
		if err := tracker.Delete(pods, e.Namespace, e.Name); err != nil && !apierrors.IsNotFound(err) {
			w.Error(err)
		}
	}()
	return nil
}

// eviction is one that was accepted, and the grace period that was asked for, if any.
type eviction struct {
	at    time.Time
	grace *int64
}

func (w *world) block(pod, budget string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.budget[pod] = budget
}

func selected(object runtime.Object, byLabel labels.Selector, byField fields.Selector) bool {
	accessor, err := meta.Accessor(object)
	if err != nil {
		return false
	}
	set := fields.Set{"metadata.name": accessor.GetName()}
	if p, ok := object.(*corev1.Pod); ok {
		set["spec.nodeName"], set["spec.restartPolicy"], set["status.phase"] = p.Spec.NodeName, string(p.Spec.RestartPolicy), string(p.Status.Phase)
	}
	return (byField == nil || byField.Matches(set)) && (byLabel == nil || byLabel.Matches(labels.Set(accessor.GetLabels())))
}
