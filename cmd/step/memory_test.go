package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
)

// The templates give a step 128 MiB, and the Go runtime 100 MiB of that (GOMEMLIMIT).
const mostMemory = 128 << 20

// A node can hold 250 pods, and what people put into a pod can have the 1.5 MiB that etcd takes. A drain of such a node fits into
// the memory that the templates give a step. A rehearsal reads the same pages, and ends.
func TestADrainOfBigPodsFitsIntoItsMemory(t *testing.T) {
	program := filepath.Join(t.TempDir(), "step")
	build := exec.Command("go", "build", "-buildvcs=false", "-ldflags", "-s -w -X main.version=v0.0.0", "-o", program, ".")
	build.Env = append(build.Environ(), "GOFLAGS=-trimpath", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	server := httptest.NewServer(bigPods{count: 250, size: 1 << 20})
	defer server.Close()
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	config := fmt.Sprintf("apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u}]\nclusters: [{name: c, cluster: {server: %q}}]\n", server.URL)
	if err := os.WriteFile(kubeconfig, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	drain := exec.CommandContext(ctx, program, "drain", "--instance-id", bigInstance, "--dry-run", "--region", "eu-central-1", "--kubeconfig", kubeconfig)
	drain.Env = []string{"GOMEMLIMIT=100MiB", "AWS_ACCESS_KEY_ID=none", "AWS_SECRET_ACCESS_KEY=none", "AWS_ENDPOINT_URL=http://127.0.0.1:1"}
	out, err := drain.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "would wait for 250 pod(s) on node") {
		t.Fatalf("%v\n%.2000s", err, out)
	}
	usage, ok := drain.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		t.Fatal("no resource usage")
	}
	peak := usage.Maxrss << 10
	t.Logf("peak memory %d MiB", peak>>20)
	if peak > mostMemory {
		t.Errorf("a drain of 250 pods of 1 MiB takes %d MiB, the container has %d", peak>>20, mostMemory>>20)
	}
}

const bigInstance = "i-0123456789abcdef0"

// bigPods is an API server whose one Node has many big pods.
type bigPods struct{ count, size int }

func (b bigPods) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	meta := metav1.ObjectMeta{Name: bigInstance, UID: "uid", ResourceVersion: "1"}
	switch path := r.URL.Path; {
	case strings.HasSuffix(path, "/nodes/"+bigInstance):
		n := &corev1.Node{ObjectMeta: meta, Spec: corev1.NodeSpec{ProviderID: "aws:///eu-central-1a/" + bigInstance, Unschedulable: true}}
		n.Spec.Taints = []corev1.Taint{{Key: "eks-recycle.io/leaving", Effect: corev1.TaintEffectNoSchedule}}
		answer(w, http.StatusOK, n)
	case strings.Contains(path, "/leases") && r.Method == http.MethodGet:
		answer(w, http.StatusNotFound, &metav1.Status{Status: metav1.StatusFailure, Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound, Details: &metav1.StatusDetails{Kind: "leases"}})
	case strings.Contains(path, "/leases"):
		holder, now, seconds := "nobody", metav1.NowMicro(), int32(300)
		lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "eks-recycle-" + bigInstance, Namespace: "eks-recycle", ResourceVersion: "1"}}
		lease.Spec = coordinationv1.LeaseSpec{HolderIdentity: &holder, RenewTime: &now, LeaseDurationSeconds: &seconds}
		answer(w, http.StatusOK, lease)
	case strings.HasSuffix(path, "/pods") && query.Get("watch") != "":
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	case strings.HasSuffix(path, "/pods"):
		answer(w, http.StatusOK, b.page(query.Get("limit"), query.Get("continue")))
	default:
		answer(w, http.StatusOK, &metav1.Status{Status: metav1.StatusSuccess})
	}
}

func (b bigPods) page(limit, from string) *corev1.PodList {
	first, _ := strconv.Atoi(from)
	n, err := strconv.Atoi(limit)
	if err != nil || n == 0 {
		n = b.count
	}
	page := &corev1.PodList{ListMeta: metav1.ListMeta{ResourceVersion: "1"}}
	for i := first; i < min(first+n, b.count); i++ {
		p := corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("batch-%d", i), Namespace: "default", UID: "u", Annotations: map[string]string{"big": strings.Repeat("x", b.size)}},
			Spec:       corev1.PodSpec{NodeName: bigInstance, RestartPolicy: corev1.RestartPolicyNever}, Status: corev1.PodStatus{Phase: corev1.PodRunning},
		}
		page.Items = append(page.Items, p)
	}
	if first+n < b.count {
		page.Continue = strconv.Itoa(first + n)
	}
	return page
}

func answer(w http.ResponseWriter, code int, object runtime.Object) {
	kinds, _, err := clientgoscheme.Scheme.ObjectKinds(object)
	if err != nil {
		panic(err)
	}
	object.GetObjectKind().SetGroupVersionKind(kinds[0])
	w.Header().Set("Content-Type", runtime.ContentTypeProtobuf)
	w.WriteHeader(code)
	if err := protobuf.NewSerializer(clientgoscheme.Scheme, clientgoscheme.Scheme).Encode(object, w); err != nil {
		panic(err)
	}
}
