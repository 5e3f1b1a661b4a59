package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/rogpeppe/go-internal/testscript"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// simKey is where a story keeps its simulated account.
type simKey struct{}

// story is what a story's processes talk to over the loopback interface.
type story struct {
	sim  *awssim.Sim
	kube *fake.Clientset

	mu     sync.Mutex
	tokens map[string]bool // "EKS" or "none", of the requests to the API server
}

// account REGION starts a simulated AWS account with a group of two nodes, and the API server of its cluster. It sets
// AWS_… and KUBECONFIG, and for the story INSTANCE, NODE and STRANGER, an instance of no group.
func account(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: account REGION")
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &story{kube: fake.NewClientset(), tokens: map[string]bool{}}
	api := httptest.NewTLSServer(s)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: api.Certificate().Raw})
	s.sim = awssim.New(awssim.Config{
		Region: args[0], Kubernetes: s.kube, MarkNodesReady: true, ClusterEndpoint: api.URL, ClusterCA: base64.StdEncoding.EncodeToString(ca),
	})
	s.sim.Start(ctx)
	endpoint := httptest.NewServer(s.sim)
	ts.Defer(func() { endpoint.Close(); cancel(); s.sim.Close(); api.CloseClientConnections(); api.Close() })

	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": endpoint.URL, "AWS_REGION": args[0], "AWS_ACCESS_KEY_ID": "sandbox", "AWS_SECRET_ACCESS_KEY": "sandbox",
		"KUBECONFIG": ts.MkAbs("kubeconfig"),
	} {
		ts.Setenv(name, value)
		env := ts.Value(environment{}).(*testscript.Env)
		env.Setenv(name, value)
	}
	ts.Check(os.WriteFile(ts.MkAbs("kubeconfig"), fmt.Appendf(nil, `{"apiVersion": "v1", "kind": "Config", "current-context": "x",
		"clusters": [{"name": "x", "cluster": {"server": %q, "certificate-authority-data": %q}}],
		"contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}], "users": [{"name": "x", "user": {}}]}`,
		api.URL, base64.StdEncoding.EncodeToString(ca)), 0o600))
	s.populate(ctx, ts, endpoint.URL, args[0])
	ts.Value(environment{}).(*testscript.Env).Values[simKey{}] = s
}

func (s *story) populate(ctx context.Context, ts *testscript.TestScript, endpoint, region string) {
	groups := autoscaling.New(autoscaling.Options{Region: region, BaseEndpoint: &endpoint,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "sandbox", SecretAccessKey: "sandbox"}, nil
		})})
	_, err := groups.CreateAutoScalingGroup(ctx, &autoscaling.CreateAutoScalingGroupInput{
		AutoScalingGroupName: aws.String("workers"), MinSize: aws.Int32(1), DesiredCapacity: aws.Int32(2), MaxSize: aws.Int32(3), AvailabilityZones: []string{region + "a"},
		LaunchTemplate: &types.LaunchTemplateSpecification{LaunchTemplateName: aws.String("workers"), Version: aws.String("1")},
	})
	ts.Check(err)
	stranger, err := s.sim.AddInstance(awssim.InstanceSpec{Tags: map[string]string{"kubernetes.io/cluster/elsewhere": "owned"}})
	ts.Check(err)
	ts.Setenv("STRANGER", stranger)
	for range 500 {
		nodes, err := s.kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		ts.Check(err)
		if len(nodes.Items) == 2 {
			id := nodes.Items[0].Spec.ProviderID
			ts.Setenv("NODE", nodes.Items[0].Name)
			ts.Setenv("INSTANCE", id[strings.LastIndex(id, "/")+1:])
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if ts.Getenv("NODE") == "" {
		ts.Fatalf("the group's nodes did not join")
	}
	for name, policy := range map[string]corev1.RestartPolicy{"batch": corev1.RestartPolicyNever, "web": corev1.RestartPolicyAlways} {
		_, err := s.kube.CoreV1().Pods("default").Create(ctx, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name, UID: "1", CreationTimestamp: metav1.Now(), Labels: map[string]string{"app": name}},
			Spec:       corev1.PodSpec{NodeName: ts.Getenv("NODE"), RestartPolicy: policy},
		}, metav1.CreateOptions{})
		ts.Check(err)
	}
	s.sim.ForgetCalls()
}

// ServeHTTP is as much of an API server as reading steps ask of one.
func (s *story) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token := "none"
	if strings.HasPrefix(r.Header.Get("Authorization"), "Bearer k8s-aws-v1.") {
		token = "EKS"
	}
	s.mu.Lock()
	s.tokens[token] = true
	s.mu.Unlock()

	var object runtime.Object
	var err error
	path := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	core := s.kube.CoreV1()
	switch {
	case r.Method != http.MethodGet:
		err = fmt.Errorf("%s %s: the stories change nothing", r.Method, r.URL.Path)
	case len(path) == 4 && path[2] == "nodes":
		if object, err = core.Nodes().Get(r.Context(), path[3], metav1.GetOptions{}); err == nil {
			object.GetObjectKind().SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Node"))
		}
	case len(path) == 3 && path[2] == "nodes":
		if object, err = core.Nodes().List(r.Context(), metav1.ListOptions{}); err == nil {
			object.GetObjectKind().SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NodeList"))
		}
	case len(path) == 3 && path[2] == "pods":
		if object, err = core.Pods("").List(r.Context(), metav1.ListOptions{LabelSelector: r.URL.Query().Get("labelSelector")}); err == nil {
			object.GetObjectKind().SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PodList"))
		}
	case strings.HasSuffix(r.URL.Path, "/leases"):
		object = &coordinationv1.LeaseList{TypeMeta: metav1.TypeMeta{APIVersion: "coordination.k8s.io/v1", Kind: "LeaseList"}}
	default: // a Lease: there is none
		err = fmt.Errorf("not found")
	}
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		w.WriteHeader(http.StatusNotFound)
		object = &metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Reason: metav1.StatusReasonNotFound, Code: http.StatusNotFound, Message: err.Error()}
	}
	_ = json.NewEncoder(w).Encode(object)
}

// calls checks what the account and the cluster were asked: calls REGION TOKEN, with the region that requests to AWS were
// signed for and the token that requests to the cluster carried, EKS or none. No call may have changed anything.
func calls(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: calls REGION TOKEN")
	}
	s := ts.Value(environment{}).(*testscript.Env).Values[simKey{}].(*story)
	log := s.sim.Calls(0)
	if len(log) == 0 {
		ts.Fatalf("AWS was not asked")
	}
	for _, call := range log {
		if call.Region != args[0] || (!call.ReadOnly && call.Params["DryRun"] != "true") || !strings.Contains(call.UserAgent, "app/eks-recycle") {
			ts.Fatalf("call %s %s for region %s by %q", call.Service, call.Action, call.Region, call.UserAgent)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.tokens) != 1 || !s.tokens[args[1]] {
		ts.Fatalf("the cluster saw tokens %v, want %s", s.tokens, args[1])
	}
}
