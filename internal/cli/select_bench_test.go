package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/cli"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

const (
	manyNodes  = 5000
	manyGroups = 50
)

// manyAccount is an account of 5,000 instances in 50 groups, ready as soon as they are launched.
func manyAccount(tb testing.TB) (*awssim.Sim, aws.Config) {
	sim := awssim.New(awssim.Config{Region: "eu-central-1"})
	sim.Start(tb.Context())
	tb.Cleanup(sim.Close)
	cfg := aws.Config{
		Region: "eu-central-1", HTTPClient: &http.Client{Transport: awssim.Transport(sim)}, BaseEndpoint: aws.String("http://awssim"),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "sandbox", SecretAccessKey: "sandbox"}, nil
		}),
	}
	groups, name := autoscaling.NewFromConfig(cfg), aws.String("nodes")
	data := &ec2types.RequestLaunchTemplateData{ImageId: aws.String("ami-1"), InstanceType: "m5.large"}
	if _, err := ec2.NewFromConfig(cfg).CreateLaunchTemplate(tb.Context(), &ec2.CreateLaunchTemplateInput{LaunchTemplateName: name, LaunchTemplateData: data}); err != nil {
		tb.Fatal(err)
	}
	for i := range manyGroups {
		_, err := groups.CreateAutoScalingGroup(tb.Context(), &autoscaling.CreateAutoScalingGroupInput{
			AutoScalingGroupName: aws.String(fmt.Sprintf("workers-%d", i)), MinSize: aws.Int32(0), MaxSize: aws.Int32(manyNodes), DesiredCapacity: aws.Int32(manyNodes / manyGroups),
			AvailabilityZones: []string{"eu-central-1a", "eu-central-1b", "eu-central-1c"},
			LaunchTemplate:    &types.LaunchTemplateSpecification{LaunchTemplateName: name, Version: aws.String("$Latest")},
			Tags:              []types.Tag{{Key: aws.String("kubernetes.io/cluster/sandbox"), Value: aws.String("owned"), PropagateAtLaunch: aws.Bool(true)}},
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
	for len(sim.State().Instances) < manyNodes {
		time.Sleep(50 * time.Millisecond)
	}
	return sim, cfg
}

// manyNodesAPI lists Nodes of 20 KB each by pages, made when they are asked for, so that what is measured is not the fake.
func manyNodesAPI(sim *awssim.Sim) (*fake.Clientset, *int) {
	kube, lists := fake.NewClientset(), new(int)
	instances := sim.State().Instances
	kube.PrependReactor("list", "nodes", func(action ktesting.Action) (bool, apiruntime.Object, error) {
		*lists++
		options := action.(ktesting.ListActionImpl).ListOptions
		start, _ := strconv.Atoi(options.Continue)
		end := min(start+int(options.Limit), len(instances))
		list := &corev1.NodeList{}
		for _, i := range instances[start:end] {
			n := corev1.Node{
				ObjectMeta: metav1.ObjectMeta{Name: i.NodeName},
				Spec:       corev1.NodeSpec{ProviderID: "aws:///" + i.AvailabilityZone + "/" + i.ID},
				Status:     corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{KubeletVersion: "v1.33.4"}},
			}
			for image := range 50 {
				n.Status.Images = append(n.Status.Images, corev1.ContainerImage{Names: []string{fmt.Sprintf("registry.example/%d@%s", image, strings.Repeat("x", 200)), strings.Repeat("y", 180)}})
			}
			list.Items = append(list.Items, n)
		}
		if end < len(instances) {
			list.Continue = strconv.Itoa(end)
		}
		return true, list, nil
	})
	return kube, lists
}

// What it takes to select among 5,000 nodes by drift and age: calls, time, and the highest heap above the one before. The
// simulator's part of the heap, which holds each answer as XML as well, is in it.
func BenchmarkSelect5000Nodes(b *testing.B) {
	sim, cfg := manyAccount(b)
	kube, lists := manyNodesAPI(sim)
	clients := &cli.Clients{AWS: asg.New(autoscaling.NewFromConfig(cfg), ec2.NewFromConfig(cfg)), Kube: typed(kube), Region: cfg.Region}
	streams := func(out, log *bytes.Buffer) cli.Streams {
		return cli.Streams{Out: out, Err: log, Connect: func(context.Context, cli.Options) (*cli.Clients, error) { return clients, nil }}
	}
	var peak uint64
	b.ReportAllocs()
	for b.Loop() {
		sim.ForgetCalls()
		*lists = 0
		stop := watchHeap(&peak)
		var out, log bytes.Buffer
		code := cli.Run(b.Context(), []string{"step", "select", "--tag", "kubernetes.io/cluster/sandbox=owned", "--drifted", "--min-age", "1ns"}, streams(&out, &log))
		stop()
		if code != 0 || !strings.Contains(out.String(), "5000 node(s) selected") {
			b.Fatalf("exit %d\n%s", code, log.String())
		}
	}
	b.ReportMetric(float64(len(sim.Calls(0))), "aws-calls")
	b.ReportMetric(float64(*lists), "node-lists")
	b.ReportMetric(float64(peak)/(1<<20), "peak-heap-MiB")
	for _, a := range kube.Actions() {
		if a.GetResource().Resource != "nodes" || a.GetVerb() != "list" {
			b.Fatalf("the cluster was asked to %s %s", a.GetVerb(), a.GetResource().Resource)
		}
	}
}

// watchHeap raises peak to the most that the heap grows until stop is called.
func watchHeap(peak *uint64) (stop func()) {
	read := func() uint64 {
		sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	runtime.GC() // what the rounds before left
	before, ended, done := read(), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-ended:
				return
			case <-time.After(time.Millisecond):
				*peak = max(*peak, max(read(), before)-before)
			}
		}
	}()
	return func() { close(ended); <-done }
}
