package node_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"

	"github.com/eks-recycle/eks-recycle/internal/kube"
	"github.com/eks-recycle/eks-recycle/internal/node"
)

// api is what client-go's fake leaves out of an API server: a merge patch that says a resourceVersion is refused if the
// object has another, deletions with preconditions, and pages.
type api struct {
	mu      sync.Mutex
	nodes   map[string]*corev1.Node
	refuse  map[string]int      // status by HTTP method
	before  func(method string) // something that happens just before the request
	log     []string            // methods
	largest int                 // page
}

func newAPI(nodes ...*corev1.Node) *api {
	a := &api{nodes: map[string]*corev1.Node{}}
	for _, n := range nodes {
		n = n.DeepCopy()
		n.ResourceVersion = "1"
		a.nodes[n.Name] = n
	}
	return a
}

func (a *api) client(t *testing.T, log *slog.Logger) *node.Client {
	t.Helper()
	api, err := kube.New(&rest.Config{Host: "http://api", Transport: a, ContentConfig: rest.ContentConfig{ContentType: "application/json"}})
	if err != nil {
		t.Fatal(err)
	}
	return &node.Client{Nodes: api.Nodes(), Events: func(namespace string) node.EventAPI { return api.Events(namespace) }, Log: log}
}

// touch changes a node as somebody else would.
func (a *api) touch(name string, change func(*corev1.Node)) {
	n := a.nodes[name]
	version, _ := strconv.Atoi(n.ResourceVersion)
	change(n)
	n.ResourceVersion = strconv.Itoa(version + 1)
}

func (a *api) RoundTrip(r *http.Request) (*http.Response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.before != nil {
		a.before(r.Method)
	}
	a.log = append(a.log, r.Method)
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	name := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	n := a.nodes[name]
	status := a.refuse[r.Method]
	switch {
	case status != 0:
		return answer(r, failure(status))
	case r.Method == http.MethodGet && name == "nodes":
		return answer(r, a.page(r))
	case n == nil:
		return answer(r, failure(http.StatusNotFound))
	case r.Method == http.MethodGet:
		return answer(r, n)
	case r.Method == http.MethodPatch:
		return answer(r, a.patch(n, body))
	case r.Method == http.MethodDelete:
		var options metav1.DeleteOptions
		if err := json.Unmarshal(body, &options); err != nil {
			return nil, err
		}
		if options.Preconditions == nil || *options.Preconditions.UID != n.UID {
			return answer(r, failure(http.StatusConflict))
		}
		delete(a.nodes, name)
		return answer(r, metav1.Status{Status: metav1.StatusSuccess})
	}
	return nil, fmt.Errorf("unexpected request %s %s", r.Method, r.URL)
}

func (a *api) patch(n *corev1.Node, body []byte) any {
	var meta struct {
		Metadata struct {
			UID             types.UID
			ResourceVersion string
		}
	}
	if err := json.Unmarshal(body, &meta); err != nil {
		return failure(http.StatusBadRequest)
	}
	if meta.Metadata.UID != n.UID || meta.Metadata.ResourceVersion != n.ResourceVersion {
		return failure(http.StatusConflict)
	}
	from, _ := json.Marshal(n)
	to, err := jsonpatch.MergePatch(from, body)
	if err != nil {
		return failure(http.StatusBadRequest)
	}
	var patched corev1.Node
	if err := json.Unmarshal(to, &patched); err != nil {
		return failure(http.StatusBadRequest)
	}
	a.touch(n.Name, func(n *corev1.Node) { *n = patched })
	return a.nodes[n.Name]
}

func (a *api) page(r *http.Request) *corev1.NodeList {
	names := slices.Sorted(maps.Keys(a.nodes))
	start, _ := strconv.Atoi(r.URL.Query().Get("continue"))
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
	if limit == 0 {
		limit = len(names)
	}
	list := &corev1.NodeList{ListMeta: metav1.ListMeta{ResourceVersion: "1"}}
	end := min(start+limit, len(names))
	for _, name := range names[start:end] {
		list.Items = append(list.Items, *a.nodes[name])
	}
	if end < len(names) {
		list.Continue = strconv.Itoa(end)
	}
	a.largest = max(a.largest, len(list.Items))
	return list
}

func failure(status int) metav1.Status {
	reasons := map[int]metav1.StatusReason{404: metav1.StatusReasonNotFound, 409: metav1.StatusReasonConflict, 403: metav1.StatusReasonForbidden}
	return metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Code: int32(status), Reason: reasons[status], Message: http.StatusText(status)}
}

func answer(r *http.Request, object any) (*http.Response, error) {
	body, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	code := http.StatusOK
	if status, ok := object.(metav1.Status); ok && status.Code != 0 {
		code = int(status.Code)
	}
	return &http.Response{StatusCode: code, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(body)), Request: r}, nil
}
