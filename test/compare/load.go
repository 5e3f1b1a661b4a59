package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"

	"github.com/eks-recycle/eks-recycle/internal/sandbox"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

const (
	namespace = "compare"
	groups    = 10
	drained   = "drained" // the group of the node that is drained
	region    = "eu-central-1"
)

// loaded is a cluster full of Nodes and pods, with an account of its own.
type loaded struct {
	cluster  *sandbox.Cluster
	client   kubernetes.Interface
	sim      *awssim.Sim
	server   *http.Server
	groups   *autoscaling.Client
	env      []string
	node, id string // that is drained
	resume   func() error
}

func (l *loaded) close() {
	_ = l.resume()
	_ = l.server.Close()
	l.sim.Close()
}

func load(ctx context.Context, cluster *sandbox.Cluster, s sizes) (*loaded, error) {
	config, err := cluster.RESTConfig()
	if err != nil {
		return nil, err
	}
	config.QPS, config.ContentType, config.AcceptContentTypes = -1, "application/vnd.kubernetes.protobuf", "application/vnd.kubernetes.protobuf"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	l := &loaded{cluster: cluster, client: client, resume: func() error { return nil }}
	settings := awssim.DefaultConfig()
	settings.Region, settings.AccountID, settings.ClusterName, settings.ClusterVersion, settings.Kubernetes = region, "000000000000", cluster.ClusterName, "1.36", client
	settings.MarkNodesReady, settings.NodeNaming, settings.NoCallLog = true, awssim.NamingResource, true
	settings.Boot, settings.NodeJoin, settings.NodeReady, settings.EnteringStandby = time.Second, time.Second, time.Second, time.Second
	settings.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	l.sim = awssim.New(settings)
	l.sim.Start(ctx)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l.server = &http.Server{Handler: l.sim, ReadHeaderTimeout: time.Minute}
	go func() { _ = l.server.Serve(listener) }()
	endpoint := "http://" + listener.Addr().String()
	l.env = append(slices.DeleteFunc(cluster.Env("/usr/bin:/bin"), func(v string) bool { return strings.HasPrefix(v, "AWS_ENDPOINT_URL") }), "AWS_ENDPOINT_URL="+endpoint, "HOME=/nonexistent")
	l.groups = autoscaling.NewFromConfig(aws.Config{Region: region, BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("sandbox", "sandbox", "")})

	// Before the cluster is full: what is measured is the wait.
	if err := l.group(ctx, drained, 1); err != nil {
		return nil, err
	}
	if _, err := l.awaitNodes(ctx, 1); err != nil {
		return nil, err
	}
	for _, step := range []string{"standby", "taint"} {
		if _, err := measure(ctx, l.env, 0, []int{0}, l.cluster.Step, step, "--instance-id", l.id); err != nil {
			return nil, err
		}
	}
	say("making %d Nodes", s.nodes)
	for i := range groups {
		if err := l.group(ctx, fmt.Sprintf("workers-%d", i), s.nodes/groups); err != nil {
			return nil, err
		}
	}
	nodes, err := l.awaitNodes(ctx, s.nodes/groups*groups+2)
	if err != nil {
		return nil, err
	}
	say("making them as big as Nodes are")
	if err := each(ctx, nodes, l.images); err != nil {
		return nil, err
	}
	return l, l.fill(ctx, nodes, s.pods)
}

func (l *loaded) group(ctx context.Context, name string, size int) error {
	n := int32(size)
	_, err := l.groups.CreateAutoScalingGroup(ctx, &autoscaling.CreateAutoScalingGroupInput{
		AutoScalingGroupName: &name, MinSize: aws.Int32(0), MaxSize: aws.Int32(n + 2), DesiredCapacity: &n,
		AvailabilityZones: []string{region + "a", region + "b", region + "c"},
		LaunchTemplate:    &astypes.LaunchTemplateSpecification{LaunchTemplateName: aws.String("compare"), Version: aws.String("1")},
		Tags:              []astypes.Tag{{Key: aws.String("kubernetes.io/cluster/" + l.cluster.ClusterName), Value: aws.String("owned"), PropagateAtLaunch: aws.Bool(true)}},
	})
	return err
}

// awaitNodes waits until all Nodes of the account have joined.
func (l *loaded) awaitNodes(ctx context.Context, want int) (names []string, err error) {
	for ctx.Err() == nil {
		time.Sleep(2 * time.Second)
		list, err := l.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: "alpha.eksctl.io/nodegroup-name"})
		if err != nil {
			return nil, err
		}
		names = names[:0]
		for _, n := range list.Items {
			group := n.Labels["alpha.eksctl.io/nodegroup-name"]
			if group == drained && l.node == "" {
				l.node, l.id = n.Name, n.Spec.ProviderID[strings.LastIndex(n.Spec.ProviderID, "/")+1:]
			}
			if group == drained || strings.HasPrefix(group, "workers-") {
				names = append(names, n.Name)
			}
		}
		if len(names) >= want && l.node != "" {
			return names, nil
		}
	}
	return nil, ctx.Err()
}

// images gives a Node the images that a kubelet lists, up to 50, which are most of its 10 to 20 KB.
func (l *loaded) images(ctx context.Context, name string) error {
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error { // others write the status too
		n, err := l.client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if name != l.node { // kwok would write the status of all pods there
			delete(n.Labels, "type")
			delete(n.Annotations, "kwok.x-k8s.io/node")
			if n, err = l.client.CoreV1().Nodes().Update(ctx, n, metav1.UpdateOptions{}); err != nil {
				return err
			}
		}
		n.Status.Images = nil
		for i := range 50 {
			n.Status.Images = append(n.Status.Images, corev1.ContainerImage{
				Names: []string{fmt.Sprintf("registry.example/team/service-%02d@sha256:%064x", i, i), fmt.Sprintf("registry.example/team/service-%02d:v1.2.%d", i, i)}, SizeBytes: 100 << 20,
			})
		}
		_, err = l.client.CoreV1().Nodes().UpdateStatus(ctx, n, metav1.UpdateOptions{})
		return err
	})
}

// fill creates pods on all Nodes, and those that matter on the one that is drained.
func (l *loaded) fill(ctx context.Context, nodes []string, pods int) error {
	say("making %d pods", pods)
	if _, err := l.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{}); err != nil {
		return err
	}
	for ctx.Err() == nil { // which the controller makes
		if _, err := l.client.CoreV1().ServiceAccounts(namespace).Get(ctx, "default", metav1.GetOptions{}); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	resume, err := l.cluster.Pause("kube-controller-manager", "kube-scheduler", "kwok") // each would read all pods
	if err != nil {
		return err
	}
	l.resume = resume
	type place struct{ name, node, app string }
	var all []place
	for i := range drainedPods {
		all = append(all, place{fmt.Sprintf("batch-%d", i), l.node, "batch"})
	}
	others := slices.DeleteFunc(slices.Clone(nodes), func(n string) bool { return n == l.node })
	for i := range pods - drainedPods {
		all = append(all, place{fmt.Sprintf("service-%d", i), others[i%len(others)], "service"})
	}
	began := time.Now()
	err = each(ctx, all, func(ctx context.Context, p place) error {
		no := false
		restart := corev1.RestartPolicyAlways
		if p.app == "batch" {
			restart = corev1.RestartPolicyNever
		}
		_, err := l.client.CoreV1().Pods(namespace).Create(ctx, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: p.name, Labels: map[string]string{"app": p.app}},
			Spec: corev1.PodSpec{
				NodeName: p.node, RestartPolicy: restart, AutomountServiceAccountToken: &no, Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
				Containers: []corev1.Container{{Name: "main", Image: "registry.example/team/service-01:v1.2.1", Env: []corev1.EnvVar{{Name: "SETTINGS", Value: strings.Repeat("x", 500)}}}},
			},
		}, metav1.CreateOptions{})
		return err
	})
	say("made in %s", time.Since(began).Round(time.Second))
	return err
}

// each does something to all, some at a time.
func each[T any](ctx context.Context, all []T, do func(context.Context, T) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(32)
	for _, one := range all {
		g.Go(func() error { return do(ctx, one) })
	}
	return g.Wait()
}

// compare prints the table.
func (l *loaded) compare(ctx context.Context, s sizes) error {
	step := func(exits []int, args ...string) func(context.Context) (cost, error) {
		return func(ctx context.Context) (cost, error) {
			return measure(ctx, l.env, 0, exits, append([]string{l.cluster.Step}, args...)...)
		}
	}
	kubectl := func(atMost time.Duration, args ...string) func(context.Context) (cost, error) {
		return func(ctx context.Context) (cost, error) {
			return measure(ctx, l.env, atMost, []int{0}, append([]string{l.cluster.Kubectl}, args...)...)
		}
	}
	drain := step([]int{75}, "drain", "--instance-id", l.id, "--label-selector", "app=batch", "--poll-window", s.window.String())
	owned := "kubernetes.io/cluster/" + l.cluster.ClusterName + "=owned"
	fmt.Println("\n| what | wall, s | CPU, s | RSS, MiB |\n|---|---|---|---|")
	for _, p := range []pair{
		{"`step select` / `kubectl get nodes -o json`", step([]int{0}, "select", "--tag", owned), kubectl(0, "get", "nodes", "-o", "json")},
		{"`step select --drifted` / `kubectl get nodes -o json`", step([]int{0}, "select", "--tag", owned, "--drifted"), kubectl(0, "get", "nodes", "-o", "json")},
		{"`step drain` / `kubectl get pods -A -l app=batch -w`", drain, kubectl(s.window, "get", "pods", "-A", "-l", "app=batch", "-w")},
		{"`step drain` / `kubectl get pods -A --field-selector spec.nodeName=… -w`", drain, kubectl(s.window, "get", "pods", "-A", "--field-selector", "spec.nodeName="+l.node, "-w")},
		{"`step drain` / `kubectl get pods -A -w`", drain, kubectl(s.window, "get", "pods", "-A", "-w")},
	} {
		if err := p.run(ctx, s.pairs); err != nil {
			return err
		}
	}
	return nil
}
