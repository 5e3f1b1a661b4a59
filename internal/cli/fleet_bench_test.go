package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	ktesting "k8s.io/client-go/testing"

	"github.com/eks-recycle/eks-recycle/internal/argo"
	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/cli"
)

// workflowServer is an API server for Workflows that end as soon as they are created. What it keeps is their metadata, so
// that the heap that is measured is not its own; whole Workflows it writes as long as those of a day's wait are.
type workflowServer struct {
	mu      sync.Mutex
	all     []metav1.PartialObjectMetadata
	watches []chan []byte
	status  []byte
	calls   int
}

// dayOfWaiting is the status of a recycle that waited for a day: 72 attempts.
func dayOfWaiting() []byte {
	nodes := map[string]any{}
	for i := range 72 {
		name := fmt.Sprintf("recycle-i-0123456789abcdef0-%d", 1000000000+i)
		nodes[name] = map[string]any{
			"id": name, "name": name, "displayName": name, "type": "Pod", "templateName": "drain", "templateScope": "local/recycle", "phase": "Failed",
			"boundaryID": name, "message": "main: Error (exit code 75)", "startedAt": "2026-01-31T22:00:00Z", "finishedAt": "2026-01-31T22:20:00Z", "progress": "3/7",
			"resourcesDuration": map[string]any{"cpu": 12, "memory": 48}, "nodeFlag": map[string]any{"retried": true}, "hostNodeName": "ip-10-0-101-117.eu-central-1.compute.internal",
			"outputs": map[string]any{"exitCode": "75", "parameters": []any{map[string]any{"name": "message", "value": strings.Repeat("m", 200), "valueFrom": map[string]any{"path": "/outputs/message", "default": ""}}}},
		}
	}
	text, _ := json.Marshal(map[string]any{"phase": "Succeeded", "finishedAt": "2026-02-01T22:00:00Z", "nodes": nodes})
	return text
}

func (s *workflowServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.calls++
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch q := r.URL.Query(); {
	case r.Method == http.MethodPost:
		s.create(w, r)
	case r.Method == http.MethodDelete || r.Method == http.MethodPatch:
		http.Error(w, "nothing is to be deleted or stopped", http.StatusTeapot)
	case q.Get("watch") != "":
		s.watch(w, r)
	case strings.Contains(q.Get("labelSelector"), "completed!="):
		s.list(w, nil, "", false)
	default:
		start, _ := strconv.Atoi(q.Get("continue"))
		limit, _ := strconv.Atoi(q.Get("limit"))
		s.mu.Lock()
		all := slices.Clone(s.all)
		s.mu.Unlock()
		end, more := len(all), ""
		if limit > 0 && start+limit < end {
			end, more = start+limit, strconv.Itoa(start+limit)
		}
		s.list(w, all[start:end], more, !strings.Contains(r.Header.Get("Accept"), "PartialObjectMetadataList"))
	}
}

func (s *workflowServer) create(w http.ResponseWriter, r *http.Request) {
	var o metav1.PartialObjectMetadata
	_ = json.NewDecoder(r.Body).Decode(&o)
	s.mu.Lock()
	defer s.mu.Unlock()
	o.UID, o.ResourceVersion, o.CreationTimestamp = "uid-", strconv.Itoa(len(s.all)+1), metav1.Now()
	o.Labels["workflows.argoproj.io/completed"], o.Labels["workflows.argoproj.io/phase"] = "true", "Succeeded"
	s.all = append(s.all, o)
	text, _ := json.Marshal(o)
	event := []byte(`{"type":"ADDED","object":` + string(partial(text)) + "}\n")
	for _, watch := range s.watches {
		watch <- event
	}
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write(text)
}

func partial(o []byte) []byte {
	o = bytes.Replace(o, []byte(`"kind":"Workflow"`), []byte(`"kind":"PartialObjectMetadata"`), 1)
	return bytes.Replace(o, []byte(`"apiVersion":"argoproj.io/v1alpha1"`), []byte(`"apiVersion":"meta.k8s.io/v1"`), 1)
}

func (s *workflowServer) watch(w http.ResponseWriter, r *http.Request) {
	events := make(chan []byte, manyNodes)
	s.mu.Lock()
	s.watches = append(s.watches, events)
	s.mu.Unlock()
	w.WriteHeader(http.StatusOK)
	for {
		w.(http.Flusher).Flush()
		select {
		case event := <-events:
			_, _ = w.Write(event)
		case <-r.Context().Done():
			return
		}
	}
}

func (s *workflowServer) list(w http.ResponseWriter, items []metav1.PartialObjectMetadata, more string, whole bool) {
	kind, version := "PartialObjectMetadataList", "meta.k8s.io/v1"
	if whole {
		kind, version = "WorkflowList", "argoproj.io/v1alpha1"
	}
	_, _ = fmt.Fprintf(w, `{"kind":%q,"apiVersion":%q,"metadata":{"resourceVersion":"9","continue":%q},"items":[`, kind, version, more)
	for i := range items {
		if i > 0 {
			_, _ = w.Write([]byte(","))
		}
		text, _ := json.Marshal(items[i])
		if !whole {
			_, _ = w.Write(partial(text))
			continue
		}
		_, _ = w.Write(append(text[:len(text)-1], `,"status":`...))
		_, _ = w.Write(append(s.status, '}'))
	}
	_, _ = w.Write([]byte("]}"))
}

// What it takes a fleet to start and follow a thousand recycles, of 5,000 nodes selected, in one attempt, and to say what
// came of them: calls, time, and the highest heap above the one before. What the simulator and the API server take for their
// answers is in it. The thousand recycles take no time here: how the hours go is shown by TestFleetOfManyNodes.
func BenchmarkFleetOf1000Nodes(b *testing.B) {
	sim, cfg := manyAccount(b)
	kube, lists := manyNodesAPI(sim)
	byName := map[string]string{}
	for _, i := range sim.State().Instances {
		byName[i.NodeName] = i.ID
	}
	kube.PrependReactor("get", "nodes", func(action ktesting.Action) (bool, runtime.Object, error) {
		name := action.(ktesting.GetAction).GetName()
		return true, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{ProviderID: "aws:///eu-central-1a/" + byName[name]}}, nil
	})
	clients := &cli.Clients{AWS: asg.New(autoscaling.NewFromConfig(cfg), ec2.NewFromConfig(cfg)), Kube: typed(kube), Region: cfg.Region}
	var peak uint64
	var created int
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		argoAPI := &workflowServer{status: dayOfWaiting()}
		server := httptest.NewServer(argoAPI)
		config := &rest.Config{Host: server.URL, QPS: -1}
		clients.Workflows = argo.Workflows{Metadata: metadata.NewForConfigOrDie(config), Dynamic: dynamic.NewForConfigOrDie(config)}
		sim.ForgetCalls()
		*lists = 0
		kube.ClearActions()
		b.StartTimer()
		stop := watchHeap(&peak)
		var out, log bytes.Buffer
		code := cli.Run(b.Context(), []string{
			"step", "fleet", "--tag", "kubernetes.io/cluster/sandbox=owned", "--min-age", "1ns", "--limit", "1000", "--max-unavailable", "100%", "--poll-window", "10m",
			"--workflow-name", "eks-recycle/fleet-1", "--workflow-uid", "fleet-1", "--started-at", time.Now().Add(time.Hour).Format(time.RFC3339),
		}, cli.Streams{Out: &out, Err: &log, Connect: func(context.Context, cli.Options) (*cli.Clients, error) { return clients, nil }})
		stop()
		if created = len(argoAPI.all); code != 0 || created != 1000 || !strings.Contains(out.String(), "1000 node(s) recycled") {
			b.Fatalf("exit %d, %d created\n%s", code, created, log.String()[max(0, log.Len()-2000):])
		}
		server.CloseClientConnections()
		server.Close()
		b.ReportMetric(float64(argoAPI.calls), "workflow-calls")
	}
	b.ReportMetric(float64(len(sim.Calls(0))), "aws-calls")
	b.ReportMetric(float64(len(kube.Actions())), "kube-calls")
	b.ReportMetric(float64(peak)/(1<<20), "peak-heap-MiB")
}
