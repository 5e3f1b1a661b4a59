package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/proc"
)

// Sizes of the group that the sandbox comes with.
const (
	groupMin     = 1
	groupDesired = 3
	groupMax     = 5
)

// ownAWS is awssim beside a cluster of the sandbox's own: pods reach it at the sandbox's address, people at either.
func ownAWS(l layout) component {
	return awssimComponent(l, l.kubeconfig("awssim"), []string{
		"--cluster-endpoint=" + apiURL(),
		"--cluster-ca=" + l.certificate("ca"),
		"--listen=" + hostPort(address, portAWS),
		"--listen=" + hostPort(loopback, portAWS),
	})
}

func awssimComponent(l layout, kubeconfig string, more []string) component {
	args := append([]string{
		"awssim",
		"--kubeconfig=" + kubeconfig,
		"--region=" + region,
		"--account=" + account,
		"--cluster=" + clusterName,
	}, more...)
	return component{
		Process: proc.Process{Name: "awssim", Path: l.own("sandbox"), Args: args},
		ready:   httpReady("http://"+hostPort(loopback, portAWS)+"/_sim/config", plainHTTP()),
	}
}

// latencies are those of AWS made short, and long enough to see each state. At once they are none, for the first nodes.
func latencies(atOnce bool) map[string]string {
	out := map[string]string{
		"boot": "3s", "nodeJoin": "3s", "nodeReady": "2s", "enteringStandby": "3s", "exitingStandby": "3s",
		"detaching": "3s", "stopping": "3s", "starting": "3s", "terminating": "3s", "reconcile": "1s",
		"healthCheck": "10s", "launchRetry": "10s",
	}
	if atOnce {
		for name := range out {
			out[name] = "0s"
		}
	}
	return out
}

// createGroup creates the group of worker nodes as a user would, through the Auto Scaling API.
func (s sandbox) createGroup(ctx context.Context, endpoint string) error {
	if err := configureAWS(ctx, endpoint, latencies(true)); err != nil {
		return err
	}
	client := autoscaling.New(autoscaling.Options{
		Region: region, BaseEndpoint: &endpoint, Credentials: credentials(),
	})
	tag := func(key, value string) types.Tag {
		return types.Tag{Key: &key, Value: &value, PropagateAtLaunch: aws.Bool(true)}
	}
	_, err := client.CreateAutoScalingGroup(ctx, &autoscaling.CreateAutoScalingGroupInput{
		AutoScalingGroupName: aws.String(groupName),
		MinSize:              aws.Int32(groupMin), DesiredCapacity: aws.Int32(groupDesired), MaxSize: aws.Int32(groupMax),
		AvailabilityZones: []string{region + "a", region + "b", region + "c"},
		LaunchTemplate:    &types.LaunchTemplateSpecification{LaunchTemplateName: aws.String(groupName), Version: aws.String("$Latest")},
		Tags:              []types.Tag{tag("Name", groupName), tag("kubernetes.io/cluster/"+clusterName, "owned")},
	})
	if err != nil {
		return fmt.Errorf("creating the group of worker nodes: %w", err)
	}
	return nil
}

// credentials are any: awssim takes them all.
func credentials() aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secretKey}, nil
	})
}

// configureAWS changes awssim's settings through its control API.
func configureAWS(ctx context.Context, endpoint string, settings map[string]string) error {
	body, err := json.Marshal(settings)
	if err != nil {
		return fmt.Errorf("configuring awssim: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, endpoint+"/_sim/config", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("configuring awssim: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("configuring awssim: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		answer, _ := io.ReadAll(io.LimitReader(response.Body, 4096))
		return fmt.Errorf("configuring awssim: %s: %s", response.Status, lastLine(string(answer)))
	}
	return nil
}

const workersSelector = "alpha.eksctl.io/nodegroup-name=" + groupName

// awaitWorkers waits for the group's first nodes and gives awssim its latencies back.
func (s sandbox) awaitWorkers(ctx context.Context, k kube, endpoint string) error {
	err := quickly().Until(ctx, func(ctx context.Context) (bool, string, error) {
		nodes, err := k.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: workersSelector})
		if err != nil {
			return false, err.Error(), nil
		}
		ready := 0
		for _, n := range nodes.Items {
			if ok, _ := nodeReady(&n); ok {
				ready++
			}
		}
		return ready == groupDesired, fmt.Sprintf("%d of %d are ready", ready, groupDesired), nil
	})
	if err != nil {
		return fmt.Errorf("waiting for the worker nodes: %w", err)
	}
	if err := configureAWS(ctx, endpoint, latencies(false)); err != nil {
		return err
	}
	s.say("%d worker nodes are ready", groupDesired)
	return nil
}
