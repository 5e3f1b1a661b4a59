package cli_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apitypes "k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

// apiServer is a cluster's API server in memory, for many recycles a second. Unlike client-go's fake it has what races
// need: resource versions that are checked, deletions with preconditions, watches that begin at a version and break off.
// Each process has its own kubeClient of it.
type apiServer struct {
	mu        sync.Mutex
	version   int
	uids      int
	stored    map[string]map[string]object // by resource, then by namespace and name
	history   []change
	compacted int // versions up to here are no longer there to watch from
	watches   []*watcher
	observe   func(resource string, before, after object) // under the lock; nil: nobody
	budgets   map[string]bool                             // names of pods that may not be evicted
	dead      map[string]bool                             // names of Nodes whose kubelet is: pods there do not end
	over      chan struct{}
}

type object interface {
	metav1.Object
	runtime.Object
}

type change struct {
	version       int
	resource      string
	before, after object
}

func newAPIServer() *apiServer {
	return &apiServer{
		stored:  map[string]map[string]object{"nodes": {}, "pods": {}, "leases": {}},
		budgets: map[string]bool{}, dead: map[string]bool{}, over: make(chan struct{}),
	}
}

func kindOf(resource string) schema.GroupResource {
	if resource == "leases" {
		return schema.GroupResource{Group: "coordination.k8s.io", Resource: resource}
	}
	return schema.GroupResource{Resource: resource}
}

func keyOf(namespace, name string) string { return namespace + "/" + name }

// clone copies an object so that its owner can change it. Of a Node's status that is its conditions: the rest is written
// once, and is the larger part.
func clone(o object) object {
	n, ok := o.(*corev1.Node)
	if !ok {
		return o.DeepCopyObject().(object) //nolint:forcetypeassert // a copy is of the same type
	}
	out := *n
	n.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	n.Spec.DeepCopyInto(&out.Spec)
	out.Status.Conditions = slices.Clone(n.Status.Conditions)
	return &out
}

// commit stores an object, nil deletes it, and tells everyone. The caller holds the lock.
func (s *apiServer) commit(resource string, before, after object) {
	s.version++
	at := after
	if after == nil {
		at = clone(before)
		delete(s.stored[resource], keyOf(before.GetNamespace(), before.GetName()))
	} else {
		s.stored[resource][keyOf(after.GetNamespace(), after.GetName())] = after
	}
	at.SetResourceVersion(strconv.Itoa(s.version))
	c := change{s.version, resource, before, after}
	if after == nil {
		c.before = at
	}
	s.history = append(s.history, c)
	if s.observe != nil {
		s.observe(resource, before, after)
	}
	for _, w := range slices.Clone(s.watches) {
		w.tell(c)
	}
}

func (s *apiServer) get(resource, namespace, name string) (object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	there, ok := s.stored[resource][keyOf(namespace, name)]
	if !ok {
		return nil, apierrors.NewNotFound(kindOf(resource), name)
	}
	return clone(there), nil
}

// list returns what passes the filter, by name, and the version at which that was so.
func (s *apiServer) list(resource, namespace string, passes func(object) bool) (found []object, version string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.stored[resource] {
		if (namespace == "" || o.GetNamespace() == namespace) && passes(o) {
			found = append(found, clone(o))
		}
	}
	slices.SortFunc(found, func(a, b object) int { return strings.Compare(a.GetName(), b.GetName()) })
	return found, strconv.Itoa(s.version)
}

func (s *apiServer) create(resource string, o object) (object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.stored[resource][keyOf(o.GetNamespace(), o.GetName())]; there {
		return nil, apierrors.NewAlreadyExists(kindOf(resource), o.GetName())
	}
	o = clone(o)
	s.uids++
	o.SetUID(apitypes.UID("uid-" + strconv.Itoa(s.uids)))
	o.SetCreationTimestamp(metav1.Now())
	s.commit(resource, nil, o)
	return clone(o), nil
}

// change applies an edit to a stored object. An edit that fails changes nothing.
func (s *apiServer) change(resource, namespace, name string, edit func(object) error) (object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, ok := s.stored[resource][keyOf(namespace, name)]
	if !ok {
		return nil, apierrors.NewNotFound(kindOf(resource), name)
	}
	after := clone(before)
	if err := edit(after); err != nil {
		return nil, err
	}
	s.commit(resource, before, after)
	return clone(after), nil
}

func (s *apiServer) replace(resource string, o object) (object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, ok := s.stored[resource][keyOf(o.GetNamespace(), o.GetName())]
	if !ok {
		return nil, apierrors.NewNotFound(kindOf(resource), o.GetName())
	}
	if o.GetResourceVersion() != "" && o.GetResourceVersion() != before.GetResourceVersion() {
		return nil, conflict(resource, o.GetName())
	}
	o = clone(o)
	o.SetUID(before.GetUID())
	o.SetCreationTimestamp(before.GetCreationTimestamp())
	s.commit(resource, before, o)
	return clone(o), nil
}

func (s *apiServer) remove(resource, namespace, name string, p *metav1.Preconditions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, ok := s.stored[resource][keyOf(namespace, name)]
	switch {
	case !ok:
		return apierrors.NewNotFound(kindOf(resource), name)
	case p != nil && p.UID != nil && *p.UID != before.GetUID(), p != nil && p.ResourceVersion != nil && *p.ResourceVersion != before.GetResourceVersion():
		return conflict(resource, name)
	}
	s.commit(resource, before, nil)
	return nil
}

func conflict(resource, name string) error {
	return apierrors.NewConflict(kindOf(resource), name, fmt.Errorf("the object has been modified"))
}

// watcher is one watch. Its channel is closed when the watch ends, from either side.
type watcher struct {
	server    *apiServer
	resource  string
	namespace string
	passes    func(object) bool
	events    chan watch.Event
	ended     bool
}

// watchBacklog is what a watch holds for a client that is slow to read; one slower than that is cut off.
const watchBacklog = 64

func (s *apiServer) watch(resource, namespace, from string, passes func(object) bool) (*watcher, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	since, err := strconv.Atoi(from)
	if err != nil {
		since = s.version
	}
	if since < s.compacted {
		return nil, apierrors.NewResourceExpired(fmt.Sprintf("too old resource version: %d (%d)", since, s.compacted))
	}
	w := &watcher{server: s, resource: resource, namespace: namespace, passes: passes, events: make(chan watch.Event, watchBacklog)}
	s.watches = append(s.watches, w)
	for _, c := range s.history {
		if c.version > since {
			w.tell(c)
		}
	}
	return w, nil
}

func (w *watcher) tell(c change) {
	if w.ended || c.resource != w.resource {
		return
	}
	fits := func(o object) bool {
		return o != nil && (w.namespace == "" || o.GetNamespace() == w.namespace) && w.passes(o)
	}
	was, is := fits(c.before), fits(c.after)
	var event watch.Event
	switch {
	case is && was:
		event = watch.Event{Type: watch.Modified, Object: clone(c.after)}
	case is:
		event = watch.Event{Type: watch.Added, Object: clone(c.after)}
	case was: // also what no longer fits the selector is deleted for this watch
		gone := clone(c.before)
		gone.SetResourceVersion(strconv.Itoa(c.version))
		event = watch.Event{Type: watch.Deleted, Object: gone}
	default:
		return
	}
	select {
	case w.events <- event:
	default:
		w.end()
	}
}

func (w *watcher) end() {
	if !w.ended {
		w.ended = true
		close(w.events)
		w.server.watches = slices.DeleteFunc(w.server.watches, func(o *watcher) bool { return o == w })
	}
}

func (w *watcher) ResultChan() <-chan watch.Event { return w.events }

func (w *watcher) Stop() {
	w.server.mu.Lock()
	defer w.server.mu.Unlock()
	w.end()
}

// dropWatches ends all watches, as a restart of the API server does. With compact nobody can go on from where they were.
func (s *apiServer) dropWatches(compact bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range slices.Clone(s.watches) {
		w.end()
	}
	if compact {
		s.version++
		s.compacted, s.history = s.version, nil
	}
}

// evict begins the end of a pod unless a budget forbids it; the pod is gone after its grace period.
func (s *apiServer) locked(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
}

// runsOn reports that a pod's kubelet lives, so that the pod can end.
func (s *apiServer) runsOn(ns, name string) (alive bool) {
	s.locked(func() {
		for _, o := range s.stored["pods"] {
			if p := o.(*corev1.Pod); p.Namespace == ns && p.Name == name {
				alive = !s.dead[p.Spec.NodeName]
			}
		}
	})
	return alive
}

func (s *apiServer) isDead(node string) (dead bool) {
	s.locked(func() { dead = s.dead[node] })
	return dead
}

// ends takes away a pod that was told to end.
func (s *apiServer) ends(ns, name string) {
	if s.runsOn(ns, name) {
		_ = s.remove("pods", ns, name, nil)
	}
}

// errRehearsed keeps a change that was only asked about from being made.
var errRehearsed = errors.New("dry run")

func (s *apiServer) evict(e *policyv1.Eviction) error {
	_, err := s.change("pods", e.Namespace, e.Name, func(o object) error {
		p := o.(*corev1.Pod) //nolint:forcetypeassert // pods are pods
		if uid := e.DeleteOptions.Preconditions.UID; uid == nil || *uid != p.UID {
			return apierrors.NewConflict(kindOf("pods"), e.Name, fmt.Errorf("precondition failed"))
		}
		if s.budgets[e.Name] {
			blocked := apierrors.NewTooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", 0)
			blocked.ErrStatus.Details.Causes = append(blocked.ErrStatus.Details.Causes, metav1.StatusCause{
				Type: policyv1.DisruptionBudgetCause, Message: "The disruption budget needs 1 healthy pods and has 1 currently",
			})
			return blocked
		}
		if len(e.DeleteOptions.DryRun) > 0 {
			return errRehearsed
		}
		now := metav1.Now()
		p.DeletionTimestamp = &now
		return nil
	})
	if errors.Is(err, errRehearsed) {
		return nil
	}
	if err == nil {
		s.later(grace, func() { s.ends(e.Namespace, e.Name) })
	}
	return err
}

// later does something after a while, unless the scenario is over by then.
func (s *apiServer) later(d time.Duration, do func()) {
	go func() {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			do()
		case <-s.over:
		}
	}()
}

// block lets a budget forbid or allow the eviction of a pod.
func (s *apiServer) block(pod string, forbid bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.budgets[pod] = forbid
}
