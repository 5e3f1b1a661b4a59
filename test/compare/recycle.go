package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	wfv1 "github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
	corev1 "k8s.io/api/core/v1"

	"github.com/eks-recycle/eks-recycle/internal/sandbox"
)

// wholeRecycle recycles a node of the sandbox's own group by the workflow, and prints where its time went.
func wholeRecycle(ctx context.Context, cluster *sandbox.Cluster) error {
	kubectl := func(into any, args ...string) error {
		c := exec.CommandContext(ctx, cluster.Kubectl, args...)
		c.Env = cluster.Env("/usr/bin:/bin")
		out, err := c.Output()
		if err == nil {
			err = json.Unmarshal(out, into)
		}
		if err != nil {
			err = fmt.Errorf("kubectl %s: %w", strings.Join(args, " "), err)
		}
		return err
	}
	var nodes corev1.NodeList
	if err := kubectl(&nodes, "get", "nodes", "-l", "alpha.eksctl.io/nodegroup-name="+cluster.Group, "-o", "json"); err != nil {
		return err
	}
	submit := exec.CommandContext(ctx, cluster.Argo, "submit", "-n", cluster.Namespace, "--from", "workflowtemplate/recycle-node", "-p", "node="+nodes.Items[0].Name, "--wait", "-o", "name")
	submit.Env = cluster.Env("/usr/bin:/bin")
	name, err := submit.Output()
	if err != nil {
		return fmt.Errorf("recycling node %s: %w", nodes.Items[0].Name, err)
	}
	var wf wfv1.Workflow
	var pods corev1.PodList
	short := strings.Fields(string(name))[0]
	if err := kubectl(&wf, "get", "workflow", "-n", cluster.Namespace, short, "-o", "json"); err != nil {
		return err
	}
	if err := kubectl(&pods, "get", "pods", "-n", cluster.Namespace, "-l", "workflows.argoproj.io/workflow="+short, "-o", "json"); err != nil {
		return err
	}
	whole := wf.Status.FinishedAt.Sub(wf.Status.StartedAt.Time)
	steps := map[string]time.Duration{}
	var starting, running, ending time.Duration
	n := 0
	for _, node := range wf.Status.Nodes {
		if node.Type != wfv1.NodeTypePod {
			continue
		}
		i := slices.IndexFunc(pods.Items, func(p corev1.Pod) bool { return p.Annotations["workflows.argoproj.io/node-id"] == node.ID })
		if i < 0 {
			return fmt.Errorf("workflow %s: the pod of %s is gone", short, node.DisplayName)
		}
		for _, c := range pods.Items[i].Status.ContainerStatuses {
			if t := c.State.Terminated; c.Name == "main" && t != nil {
				n++
				starting += t.StartedAt.Sub(node.StartedAt.Time)
				running += t.FinishedAt.Sub(t.StartedAt.Time)
				ending += node.FinishedAt.Sub(t.FinishedAt.Time)
				steps[node.TemplateName] += t.FinishedAt.Sub(t.StartedAt.Time)
			}
		}
	}
	fmt.Printf("A recycle by the workflow, %d pods, timestamps to the second: %s\n\n| | s | share |\n|---|---|---|\n", n, whole)
	row := func(what string, d time.Duration) {
		fmt.Printf("| %s | %.0f | %.0f %% |\n", what, d.Seconds(), 100*d.Seconds()/whole.Seconds())
	}
	for _, name := range []string{"standby", "taint", "drain", "evict", "retire", "settle"} {
		row("step "+name, steps[name])
	}
	row("from creating a pod to starting its step", starting)
	row("from the end of a step to the end of its pod", ending)
	row("between two pods", whole-starting-running-ending)
	fmt.Println()
	return nil
}
