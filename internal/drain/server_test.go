package drain_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/eks-recycle/eks-recycle/internal/drain"
	"github.com/eks-recycle/eks-recycle/internal/kube"
	"github.com/eks-recycle/eks-recycle/internal/poll"
)

// server is the part of an API server that drains use, over HTTP without sockets, so that it runs in virtual time: lists
// and watches with selectors and resource versions, evictions with preconditions, and the mishaps of real ones.
type server struct {
	mu       sync.Mutex
	pods     map[string]*corev1.Pod
	version  int
	history  []change
	oldest   int                            // what a watch may start from; before it is 410 Gone
	moments  map[int]map[string]*corev1.Pod // the pods of lists that are read in pages, by version
	paged    func()                         // something that happens after a page that is not the last
	watchers []*watcher

	grace       time.Duration           // from an accepted eviction to the pod's end
	budget      map[string]error        // why pods may not be evicted, by name
	refuse      map[string]error        // by verb: list, watch
	asked       map[string][]url.Values // queries, by verb
	evicts      []string                // names, in order
	rehearsed   []string                // names, of evictions that were only asked about
	slow        map[string]bool         // pods whose eviction is not answered, as by a webhook that hangs
	dead        bool                    // the kubelet: what is evicted stays
	budgets     []policyv1.PodDisruptionBudget
	attachments []storagev1.VolumeAttachment
	claims      map[string]string // volumes, by namespace/name of the claim
}

type change struct {
	version       int
	before, after *corev1.Pod
}

type watcher struct {
	namespace string
	query     url.Values
	events    chan change
	closed    chan struct{}
}

// inBubble runs a test in virtual time, and lets end what the test has begun.
func inBubble(t *testing.T, story func(*testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		story(t)
		time.Sleep(1000 * time.Hour)
	})
}

// host is the Node of all pods that say nothing else.
var host = drain.Host{Name: "node-1", Taint: corev1.Taint{Key: "eks-recycle.io/leaving", Effect: corev1.TaintEffectNoSchedule}}

func newServer() *server {
	return &server{pods: map[string]*corev1.Pod{}, budget: map[string]error{}, refuse: map[string]error{}, moments: map[int]map[string]*corev1.Pod{}, asked: map[string][]url.Values{}, grace: 5 * time.Second}
}

func (s *server) client(t testing.TB) *drain.Client {
	t.Helper()
	api, err := kube.New(&rest.Config{Host: "http://api", Transport: s, QPS: -1, ContentConfig: rest.ContentConfig{ContentType: "application/json"}})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	return &drain.Client{
		Pods:    func(namespace string) drain.API { return api.Pods(namespace) },
		Budgets: func(namespace string) drain.BudgetAPI { return api.Budgets(namespace) }, Attachments: api.VolumeAttachments(),
		Claims: func(namespace string) drain.ClaimAPI { return api.PersistentVolumeClaims(namespace) },
		Log:    log, Wait: poll.Loop{Interval: 10 * time.Second, Log: log},
	}
}

// put stores a pod, new or changed.
func (s *server) put(p *corev1.Pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	p = p.DeepCopy()
	p.ResourceVersion = strconv.Itoa(s.version)
	key := p.Namespace + "/" + p.Name
	s.emit(change{s.version, s.pods[key], p})
	s.pods[key] = p
}

func (s *server) remove(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pods[key]
	if p == nil {
		return
	}
	s.version++
	delete(s.pods, key)
	s.emit(change{s.version, p, nil})
}

func (s *server) emit(c change) {
	s.history = append(s.history, c)
	for _, w := range s.watchers {
		select {
		case w.events <- c:
		case <-w.closed:
		}
	}
}

// finish ends a pod by itself after a while.
func (s *server) finish(key string, after time.Duration) {
	go func() {
		time.Sleep(after)
		s.mu.Lock()
		p := s.pods[key].DeepCopy()
		s.mu.Unlock()
		p.Status.Phase = corev1.PodSucceeded
		s.put(p)
	}()
}

// closeWatches ends all watches, as API servers and load balancers do. With gone, what happened so far is forgotten, so
// that going on from there is 410 Gone.
func (s *server) closeWatches(gone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.watchers {
		close(w.closed)
	}
	s.watchers = nil
	if gone {
		s.version += 1000
		s.oldest = s.version
	}
}

func (s *server) fail(verb string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse[verb] = err
}

func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	path := strings.Split(strings.Trim(r.URL.Path, "/"), "/") // api v1 [namespaces NS] pods [NAME eviction]
	if others := s.others(path); others != nil {
		return respond(r, others), nil
	}
	namespace := ""
	if path[2] == "namespaces" {
		namespace = path[3]
	}
	query := r.URL.Query()
	if r.Method == http.MethodPost && s.slow[path[5]] {
		select {
		case <-r.Context().Done():
			return nil, r.Context().Err()
		case <-time.After(time.Hour):
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	verb := "list"
	switch {
	case r.Method == http.MethodPost:
		verb = "evict"
	case query.Get("watch") != "":
		verb = "watch"
	}
	s.asked[verb] = append(s.asked[verb], query)
	if err := s.refuse[verb]; err != nil {
		return respond(r, status(err)), nil
	}
	switch verb {
	case "evict":
		return s.evict(r, namespace+"/"+path[5])
	case "watch":
		return s.watch(r, namespace, query)
	}
	return respond(r, s.page(namespace, query)), nil
}

// others answers for what is not a pod.
func (s *server) others(path []string) any {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch last := path[len(path)-1]; {
	case last == "poddisruptionbudgets":
		return &policyv1.PodDisruptionBudgetList{Items: s.budgets}
	case last == "volumeattachments":
		return &storagev1.VolumeAttachmentList{Items: s.attachments}
	case path[len(path)-2] == "persistentvolumeclaims":
		volume, known := s.claims[path[len(path)-3]+"/"+last]
		if !known {
			return status(apierrors.NewNotFound(corev1.Resource("persistentvolumeclaims"), last))
		}
		return &corev1.PersistentVolumeClaim{Spec: corev1.PersistentVolumeClaimSpec{VolumeName: volume}}
	}
	return nil
}

// page lists as of the moment of the first page, which a continue token names, as far as the limit goes.
func (s *server) page(namespace string, query url.Values) runtime.Object {
	version, from, next := s.version, "", query.Get("continue")
	if next != "" {
		moment, key, _ := strings.Cut(next, " ")
		version, _ = strconv.Atoi(moment)
		from = key
	}
	if version < s.oldest {
		return status(apierrors.NewResourceExpired("the continue token is too old"))
	}
	pods := s.moments[version]
	if pods == nil {
		pods = maps.Clone(s.pods)
		s.moments[version] = pods
	}
	limit, _ := strconv.Atoi(query.Get("limit"))
	page := &corev1.PodList{ListMeta: metav1.ListMeta{ResourceVersion: strconv.Itoa(version)}}
	for _, key := range slices.Sorted(maps.Keys(pods)) {
		switch {
		case key < from || !selected(pods[key], namespace, query):
		case limit > 0 && len(page.Items) == limit:
			page.Continue = fmt.Sprintf("%d %s", version, key)
			if s.paged != nil {
				s.paged()
			}
			return page
		default:
			page.Items = append(page.Items, *pods[key])
		}
	}
	return page
}

func (s *server) watch(r *http.Request, namespace string, query url.Values) (*http.Response, error) {
	from, err := strconv.Atoi(query.Get("resourceVersion"))
	if err != nil {
		return nil, fmt.Errorf("a watch from nowhere: %w", err)
	}
	if from < s.oldest {
		return respond(r, status(apierrors.NewResourceExpired("too old resource version"))), nil
	}
	w := &watcher{namespace: namespace, query: query, events: make(chan change, 100_000), closed: make(chan struct{})}
	for _, c := range s.history {
		if c.version > from {
			w.events <- c
		}
	}
	s.watchers = append(s.watchers, w)
	body, out := io.Pipe()
	go func() {
		for {
			select {
			case c := <-w.events:
				if _, err := out.Write(w.event(c)); err != nil {
					return
				}
			case <-w.closed:
				_ = out.Close()
				return
			case <-r.Context().Done():
				_ = out.CloseWithError(r.Context().Err())
				return
			}
		}
	}()
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: body, Request: r}, nil
}

// event tells a change as a watch with selectors sees it: what no longer fits is deleted.
func (w *watcher) event(c change) []byte {
	before, after := c.before != nil && selected(c.before, w.namespace, w.query), c.after != nil && selected(c.after, w.namespace, w.query)
	var kind string
	object := c.after
	switch {
	case before && after:
		kind = "MODIFIED"
	case after:
		kind = "ADDED"
	case before:
		kind, object = "DELETED", c.before
	default:
		return nil
	}
	object = object.DeepCopy()
	object.ResourceVersion = strconv.Itoa(c.version)
	object.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
	line, err := json.Marshal(map[string]any{"type": kind, "object": object})
	if err != nil {
		panic(err)
	}
	return append(line, '\n')
}

func (s *server) evict(r *http.Request, key string) (*http.Response, error) {
	var eviction policyv1.Eviction
	if err := json.NewDecoder(r.Body).Decode(&eviction); err != nil {
		return nil, err
	}
	p := s.pods[key]
	dry := len(eviction.DeleteOptions.DryRun) > 0
	if dry {
		s.rehearsed = append(s.rehearsed, eviction.Name)
	} else {
		s.evicts = append(s.evicts, eviction.Name)
	}
	switch {
	case p == nil:
		return respond(r, status(apierrors.NewNotFound(corev1.Resource("pods"), eviction.Name))), nil
	case eviction.DeleteOptions.Preconditions == nil || *eviction.DeleteOptions.Preconditions.UID != p.UID:
		return respond(r, status(apierrors.NewConflict(corev1.Resource("pods"), eviction.Name, fmt.Errorf("precondition failed")))), nil
	case s.budget[eviction.Name] != nil:
		refused := respond(r, status(s.budget[eviction.Name]))
		if after, told := apierrors.SuggestsClientDelay(s.budget[eviction.Name]); told && after > 0 {
			refused.Header.Set("Retry-After", strconv.Itoa(after))
		}
		return refused, nil
	case dry:
		return respond(r, &metav1.Status{Status: metav1.StatusSuccess}), nil
	}
	go func() {
		p := p.DeepCopy()
		p.DeletionTimestamp = &metav1.Time{Time: time.Now().Add(s.grace)}
		s.put(p)
		time.Sleep(s.grace)
		if !s.dead {
			s.remove(key)
		}
	}()
	return respond(r, &metav1.Status{Status: metav1.StatusSuccess}), nil
}

func selected(p *corev1.Pod, namespace string, query url.Values) bool {
	byLabel, err := labels.Parse(query.Get("labelSelector"))
	if err != nil {
		panic(err)
	}
	byField, err := fields.ParseSelector(query.Get("fieldSelector"))
	if err != nil {
		panic(err)
	}
	set := fields.Set{"spec.nodeName": p.Spec.NodeName, "spec.restartPolicy": string(p.Spec.RestartPolicy), "status.phase": string(p.Status.Phase)}
	return (namespace == "" || namespace == p.Namespace) && byLabel.Matches(labels.Set(p.Labels)) && byField.Matches(set)
}

func status(err error) *metav1.Status {
	var api apierrors.APIStatus
	if !errors.As(err, &api) {
		panic(err)
	}
	s := api.Status()
	s.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	return &s
}

func respond(r *http.Request, object any) *http.Response {
	body, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	code := http.StatusOK
	if s, ok := object.(*metav1.Status); ok && s.Code != 0 {
		code = int(s.Code)
	}
	return &http.Response{StatusCode: code, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(body)), Request: r}
}

// blocked is the API server's answer to an eviction that a budget forbids.
func blocked(budget string) error {
	err := apierrors.NewTooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", 0)
	err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: policyv1.DisruptionBudgetCause, Message: "The disruption budget " + budget + " needs 2 healthy pods and has 2 currently"}}
	return err
}

// pod is a pod that runs to completion on node-1.
func pod(name string, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", UID: types.UID("uid-" + name), CreationTimestamp: metav1.NewTime(time.Now().Truncate(time.Second))},
		Spec:       corev1.PodSpec{NodeName: "node-1", RestartPolicy: corev1.RestartPolicyNever},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning},
	}
	for _, c := range change {
		c(p)
	}
	return p
}

func always(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyAlways }

func in(namespace string) func(*corev1.Pod) { return func(p *corev1.Pod) { p.Namespace = namespace } }

func labelled(key, value string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Labels = map[string]string{key: value} }
}

func ownedBy(kind string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		controller := true
		p.OwnerReferences = []metav1.OwnerReference{{Kind: kind, Controller: &controller}}
	}
}

func mirror(p *corev1.Pod) { p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"} }

func phase(now corev1.PodPhase) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Status.Phase = now }
}

func terminating(p *corev1.Pod) {
	now := metav1.Now()
	p.DeletionTimestamp = &now
}

func selection(t testing.TB, selector, namespaces string) drain.Selection {
	t.Helper()
	s, err := drain.ParseSelection(selector, namespaces)
	if err != nil {
		t.Fatal(err)
	}
	s.Own = "eks-recycle"
	return s
}

func attachment(volume, node string) (a storagev1.VolumeAttachment) {
	a.Name = "csi-" + volume
	a.Spec.NodeName, a.Spec.Source.PersistentVolumeName = node, &volume
	return a
}
