package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// upOnExisting adds AWS, kwok and the workflows to a cluster that is there, such as one of kind or minikube. It needs
// neither root nor a container runtime, and installs no Argo Workflows: that is the cluster's owner's affair.
func (s sandbox) upOnExisting(ctx context.Context, o Options) (*Cluster, error) {
	kubeconfig, err := filepath.Abs(o.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("finding kubeconfig %q: %w", o.Kubeconfig, err)
	}
	if o.Events {
		return nil, hint.Errorf("apply workflows/overlays/example-events there, with Argo Events installed",
			"using another cluster: only a cluster of the sandbox's own gets Argo Events")
	}
	if err := checkAWSAddress(o.AWSAddress); err != nil {
		return nil, err
	}
	if _, err := os.Stat(s.layout.clusterFile()); err == nil {
		return nil, hint.Errorf("end it first: make sandbox-down", "using another cluster: a sandbox is up already")
	}
	if err := s.down(ctx); err != nil {
		return nil, err
	}
	k, err := connect(kubeconfig)
	if err != nil {
		return nil, err
	}
	if err := k.requireArgo(); err != nil {
		return nil, err
	}
	build, err := s.startBuild(ctx, []string{"kwok", "kubectl", "argo"})
	if err != nil {
		return nil, err
	}
	defer build.Stop()
	if err := build.Wait(); err != nil {
		return nil, err
	}
	c := s.newCluster()
	c.Kubeconfig, c.Existing = kubeconfig, true
	c.AWSEndpoint = "http://" + hostPort(loopback, portAWS)
	c.AWSEndpointInPods = "http://" + o.AWSAddress
	if err := s.join(ctx, k, c); err != nil {
		s.say("stopping again what was started; logs are in %s", s.layout.logs())
		return nil, errors.Join(err, s.down(ctx))
	}
	s.say("load %s into the cluster's nodes, for example: kind load image-archive %s",
		stepImage, s.archive(stepImageOf(s.layout)))
	return c, nil
}

// checkAWSAddress wants what pods can reach: host and port of this machine, and the port that awssim listens on.
func checkAWSAddress(a string) error {
	host, port, err := net.SplitHostPort(a)
	if err != nil || host == "" || port != strconv.Itoa(portAWS) {
		return hint.Errorf("give --awssim-address with an address of this machine that the cluster's pods reach, such as 172.18.0.1:4566",
			"using another cluster: %q is no address with port %d", a, portAWS)
	}
	return nil
}

func (s sandbox) join(ctx context.Context, k kube, c *Cluster) error {
	l := s.layout
	if err := os.RemoveAll(l.logs()); err != nil {
		return fmt.Errorf("removing old logs: %w", err)
	}
	if err := os.MkdirAll(l.run(), 0o755); err != nil {
		return fmt.Errorf("preparing the state folder: %w", err)
	}
	// Written first: what follows changes the cluster, and `down` has to know which one it was.
	c.Started = time.Now().UTC()
	if err := c.write(); err != nil {
		return err
	}
	listen := []string{"--listen=" + strings.TrimPrefix(c.AWSEndpointInPods, "http://")}
	if local := hostPort(loopback, portAWS); listen[0] != "--listen="+local {
		listen = append(listen, "--listen="+local)
	}
	listening := []string{hostPort(loopback, portKwok)}
	for _, a := range listen {
		listening = append(listening, strings.TrimPrefix(a, "--listen="))
	}
	if err := awaitPorts(ctx, 10*time.Second, listening); err != nil {
		return err
	}
	for _, component := range []component{kwok(l, c.Kubeconfig), awssimComponent(l, c.Kubeconfig, listen)} {
		if err := s.run(ctx, l.processesForExisting(), component); err != nil {
			return err
		}
	}
	if err := k.labelRealNodes(ctx, true); err != nil {
		return err
	}
	if err := s.installWorkflows(ctx, k, c); err != nil {
		return err
	}
	step := stepImageOf(l)
	if err := os.MkdirAll(l.cache("images"), 0o755); err != nil {
		return fmt.Errorf("packing images: %w", err)
	}
	if err := step.Write(s.archive(step)); err != nil {
		return err
	}
	if err := s.createGroup(ctx, c.AWSEndpoint); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return s.awaitWorkers(ctx, k, c.AWSEndpoint)
}

// requireArgo asks for the kinds that the workflows are made of.
func (k kube) requireArgo() error {
	_, err := k.client.Discovery().ServerResourcesForGroupVersion("argoproj.io/v1alpha1")
	if err != nil {
		return hint.Errorf("check --kubeconfig, and install Argo Workflows there: https://argo-workflows.readthedocs.io/en/latest/installation/",
			"looking for Argo Workflows in the cluster: %w", err)
	}
	return nil
}

// adaptToExisting makes the sandbox's overlay fit a cluster that has no control node of ours: the pods run on its real
// nodes, which were labelled, and reach awssim at another address. Argo's own containers comply with Pod Security "restricted" only if
// its controller is told to, and that is its owner's affair.
func adaptToExisting(objects []*unstructured.Unstructured, endpoint string) {
	for _, o := range objects {
		switch o.GetKind() {
		case "WorkflowTemplate":
			spec, ok := o.Object["spec"].(map[string]any)
			if ok {
				spec["nodeSelector"] = map[string]any{controlLabel: "true"}
			}
		case "Namespace":
			unstructured.RemoveNestedField(o.Object, "metadata", "labels", "pod-security.kubernetes.io/enforce")
		case "ConfigMap":
			data, ok := o.Object["data"].(map[string]any)
			if _, has := data["AWS_ENDPOINT_URL"]; ok && has {
				data["AWS_ENDPOINT_URL"] = endpoint
			}
		}
	}
}

// labelRealNodes marks the nodes that are not kwok's, so that the recycles' pods find one that runs them, or unmarks all.
func (k kube) labelRealNodes(ctx context.Context, on bool) error {
	selector := metav1.ListOptions{LabelSelector: "type!=kwok"}
	var value any = "true"
	if !on {
		selector.LabelSelector, value = controlLabel, nil
	}
	nodes, err := k.client.CoreV1().Nodes().List(ctx, selector)
	if err != nil {
		return fmt.Errorf("listing nodes: %w", err)
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": map[string]any{controlLabel: value}}})
	if err != nil {
		return fmt.Errorf("labelling nodes: %w", err)
	}
	for _, n := range nodes.Items {
		_, err := k.client.CoreV1().Nodes().Patch(ctx, n.Name, types.MergePatchType, patch, metav1.PatchOptions{})
		if err != nil {
			return fmt.Errorf("labelling node %q: %w", n.Name, err)
		}
	}
	return nil
}

// leaveExisting stops what was added to an existing cluster and takes its worker nodes away. The workflows stay. A
// cluster that no longer answers is left as it is: it is most likely deleted.
func (s sandbox) leaveExisting(ctx context.Context) error {
	if err := s.stopProcesses(ctx, s.layout.processesForExisting()); err != nil {
		return err
	}
	c, err := readCluster(s.layout)
	if err != nil || !c.Existing {
		return nil
	}
	k, err := connect(c.Kubeconfig)
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := k.labelRealNodes(ctx, false); err != nil {
		s.say("the cluster does not answer and is left as it is: %v", err)
		return nil
	}
	err = k.client.CoreV1().Nodes().DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: workersSelector})
	if err != nil {
		return fmt.Errorf("deleting the worker nodes: %w", err)
	}
	s.say("the worker nodes are gone from the cluster")
	return nil
}
