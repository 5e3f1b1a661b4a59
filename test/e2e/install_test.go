package e2e

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	wfv1 "github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/eks-recycle/eks-recycle/internal/notify"
	"github.com/eks-recycle/eks-recycle/internal/release"
)

// What a release holds: the API server takes the plain manifests as they are, and the chart, in a namespace of its own, recycles a
// node. The sandbox itself runs on the overlay that install.yaml is made of.
func TestWhatAReleaseHolds(t *testing.T) {
	t.Parallel()
	s := given(t, "chart")
	dist := filepath.Join(t.TempDir(), "dist")
	s.must(release.Write("../..", "v0.1.0", dist))
	_ = s.eventsUp() // whose kinds install-events.yaml needs
	for _, file := range []string{"install.yaml", "install-events.yaml"} {
		out, err := s.command(s.Context(), s.cluster.Kubectl, "apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", filepath.Join(dist, file))
		if err != nil || strings.Contains(out, "Warning") {
			s.Errorf("applying %s: %v\n%s", file, err, out)
		}
	}

	if out, err := s.command(s.Context(), s.cluster.Kubectl, "apply", "--server-side", "--force-conflicts", "--dry-run=server", "-k", "../../workflows/overlays/another-cluster"); err != nil {
		s.Errorf("applying the permissions for another cluster: %v\n%s", err, out)
	}

	const namespace = "eks-recycle-chart"
	s.installChart(namespace, filepath.Join(dist, "eks-recycle-0.1.0.tgz"))
	told := s.receiver(namespace)
	r := s.submit("instance-id="+s.ids[0], "action=terminate")
	r.ends(wfv1.WorkflowSucceeded)
	var reasons []string
	for _, m := range told() {
		reasons = append(reasons, m.Reason)
		if m.Node != s.nodes[s.ids[0]] || m.Workflow != namespace+"/"+r.name || m.Text == "" || m.Warning {
			s.Errorf("somebody was told %+v", m)
		}
	}
	if want := []string{"RecycleStarted", "RecycleDone"}; !slices.Equal(reasons, want) {
		s.Errorf("somebody was told of %v, want %v", reasons, want)
	}
	s.recycled("terminated")
	s.allowed()

	forged := filepath.Join(t.TempDir(), "workflow.yaml")
	s.must(os.WriteFile(forged, []byte(`{apiVersion: argoproj.io/v1alpha1, kind: Workflow, metadata: {generateName: forged-}, spec: {workflowTemplateRef: {name: recycle-node}, serviceAccountName: eks-recycle-reap}}`), 0o600))
	if out, err := s.command(s.Context(), s.cluster.Kubectl, "create", "-n", namespace, "--dry-run=server", "-f", forged); err == nil || !strings.Contains(out, "eks-recycle: ") {
		s.Errorf("a workflow with another service account: %v\n%s", err, out)
	}
}

// receiver gets the notifications of a namespace, and returns them.
func (s *scenario) receiver(namespace string) (told func() []notify.Message) {
	s.Helper()
	// The address is one of this machine that pods reach.
	listener, err := net.Listen("tcp", net.JoinHostPort(strings.Split(strings.TrimPrefix(s.cluster.AWSEndpointInPods, "http://"), ":")[0], "0"))
	s.must(err)
	var mu sync.Mutex
	var all []notify.Message
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m notify.Message
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil || r.URL.Path != "/s3cr3t" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		all = append(all, m)
	})}
	go func() { _ = server.Serve(listener) }()
	s.Cleanup(func() { _ = server.Close() })
	_, err = s.kube.CoreV1().Secrets(namespace).Create(s.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "eks-recycle-notify"}, StringData: map[string]string{"url": "http://" + listener.Addr().String() + "/s3cr3t"},
	}, metav1.CreateOptions{})
	s.must(err)
	return func() []notify.Message {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
}

// installChart applies what the chart renders, with what the sandbox changes of the example: AWS is at another address, and one
// node runs pods. The scenario submits there from now on.
func (s *scenario) installChart(namespace, chart string) {
	s.Helper()
	ctx := s.Context()
	labels := map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}
	_, err := s.kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace, Labels: labels}}, metav1.CreateOptions{})
	s.must(err)
	program := cmp.Or(os.Getenv("HELM"), "helm")
	if _, err := exec.LookPath(program); err != nil {
		s.Fatalf("%v: make e2e builds Helm, and sets HELM", err)
	}
	helm := exec.CommandContext(ctx, program, "template", "eks-recycle", chart, "--namespace", namespace, "--set", "image.tag=sandbox",
		"--set", `pods.nodeSelector.kubernetes\.io/hostname=sandbox-control,pods.tolerations[0].key=sandbox.eks-recycle.io/control,pods.tolerations[0].operator=Exists`,
		"--set", "schedules.recycle-sweep.suspend=true")
	var stderr bytes.Buffer
	helm.Stderr, helm.Env = &stderr, []string{"HOME=" + s.TempDir(), "PATH=/usr/bin:/bin"}
	rendered, err := helm.Output()
	if err != nil {
		s.Fatalf("helm template: %v\n%s", err, stderr.String())
	}
	folder := s.TempDir()
	write := func(name string, content []byte) { s.must(os.WriteFile(filepath.Join(folder, name), content, 0o600)) }
	write("chart.yaml", rendered)
	for _, name := range []string{"env.yaml", "environment.yaml"} {
		content, err := os.ReadFile(filepath.Join("../../workflows/overlays/sandbox", name))
		s.must(err)
		write(name, bytes.ReplaceAll(content, []byte("namespace: eks-recycle\n"), []byte("namespace: "+namespace+"\n")))
	}
	write("kustomization.yaml", []byte("resources: [chart.yaml, env.yaml]\npatches: [{path: environment.yaml, target: {kind: WorkflowTemplate}}]\n"))
	if out, err := s.command(ctx, s.cluster.Kubectl, "apply", "-k", folder); err != nil {
		s.Fatalf("applying the chart: %v\n%s", err, out)
	}
	s.Cleanup(func() { // what is the cluster's
		out, err := s.command(context.Background(), s.cluster.Kubectl, "delete", "-k", folder, "--wait=false")
		if err != nil {
			s.Errorf("deleting the chart's objects: %v\n%s", err, out)
		}
	})
	suite, cluster := *s.suite, *s.cluster
	cluster.Namespace, suite.cluster = namespace, &cluster
	s.suite = &suite
}
