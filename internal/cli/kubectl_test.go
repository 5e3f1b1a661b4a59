package cli_test

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	ktesting "k8s.io/client-go/testing"

	"github.com/eks-recycle/eks-recycle/internal/argo"
	"github.com/eks-recycle/eks-recycle/internal/cli"
)

// kubectl is the plugin in a world, with an Argo in which the workflow a runs and the two templates are installed.
type kubectl struct {
	*world
	dynamic *dynamicfake.FakeDynamicClient
}

func (w *world) kubectl() kubectl {
	w.Helper()
	known := workflow("a", "a", "")
	known.Namespace = "eks-recycle"
	w.withArgo(known)
	k := kubectl{w, dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{workflowsResource: "WorkflowList"})}
	k.dynamic.PrependReactor("create", "workflows", func(action ktesting.Action) (bool, runtime.Object, error) {
		created := action.(ktesting.CreateAction).GetObject().(*unstructured.Unstructured)
		created.SetName(created.GetGenerateName() + "x7k2p")
		return false, nil, nil
	})
	templates := schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "workflowtemplates"}
	for name, parameters := range map[string][]string{"recycle-node": {"instance-id", "node", "max-wait", "dry-run"}, "recycle-restore": {"instance-id", "node", "dry-run"}} {
		var all []any
		for _, p := range parameters {
			all = append(all, map[string]any{"name": p})
		}
		template := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate", "metadata": map[string]any{"name": name, "namespace": "eks-recycle"},
			"spec": map[string]any{"arguments": map[string]any{"parameters": all}},
		}}
		w.must(k.dynamic.Tracker().Create(templates, template, "eks-recycle"))
	}
	running := argo.Workflow("recycle-node", "a", nil)
	running.SetNamespace("eks-recycle")
	w.must(k.dynamic.Tracker().Create(workflowsResource, running, "eks-recycle"))
	w.steps.Workflows = argo.Workflows{Metadata: w.steps.Workflows.Metadata, Dynamic: k.dynamic}
	return k
}

// run runs "kubectl recycle" with arguments.
func (k kubectl) run(line string) (code int, stdout, stderr string) {
	var out, log bytes.Buffer
	code = cli.Run(k.Context(), append([]string{"/usr/local/bin/kubectl-recycle"}, strings.Fields(line)...), k.streams("status", &out, &log))
	return code, out.String(), log.String()
}

// submitted returns template and parameters of what was submitted by the plugin, and forgets it.
func (k kubectl) submitted() (template string, parameters map[string]string) {
	k.Helper()
	list, err := k.dynamic.Resource(workflowsResource).Namespace("eks-recycle").List(k.Context(), metav1.ListOptions{})
	k.must(err)
	for _, w := range list.Items {
		if w.GetName() == "a" {
			continue
		}
		template, _, _ = unstructured.NestedString(w.Object, "spec", "workflowTemplateRef", "name")
		parameters = map[string]string{}
		all, _, _ := unstructured.NestedSlice(w.Object, "spec", "arguments", "parameters")
		for _, p := range all {
			p := p.(map[string]any)
			parameters[p["name"].(string)] = p["value"].(string)
		}
		k.must(k.dynamic.Tracker().Delete(workflowsResource, "eks-recycle", w.GetName()))
	}
	return template, parameters
}

func (k kubectl) stopped() bool {
	w, err := k.dynamic.Resource(workflowsResource).Namespace("eks-recycle").Get(k.Context(), "a", metav1.GetOptions{})
	k.must(err)
	shutdown, _, _ := unstructured.NestedString(w.Object, "spec", "shutdown")
	return shutdown == "Stop"
}

// People start, see, stop and restore a recycle, and AWS is never asked for it.
func TestKubectlRecycle(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		k := w.kubectl()
		id, name := w.ids[0], w.nodeOf(w.ids[0]).Name
		for line, want := range map[string]map[string]string{
			"start " + name + " -p max-wait=4h -p dry-run=true": {"node": name, "max-wait": "4h", "dry-run": "true"},
			"start --parameter=max-wait=4h " + id:               {"instance-id": id, "max-wait": "4h"},
			"start -n eks-recycle -- " + name:                   {"node": name},
		} {
			code, out, log := k.run(line)
			template, parameters := k.submitted()
			if code != 0 || out != "workflow.argoproj.io/recycle-node-x7k2p created\n" || template != "recycle-node" || !maps.Equal(parameters, want) {
				t.Errorf("%s: exit %d, %s%s%s %v", line, code, out, log, template, parameters)
			}
		}
		flags := []string{"--instance-id", id}
		flags = append(flags, "--workflow-name", "eks-recycle/a")
		for _, step := range []string{"standby", "taint"} {
			w.doneAs("a", step, flags...)
		}
		w.sim.ForgetCalls()
		code, out, log := k.run("status")
		if lines := strings.Split(out, "\n"); code != 0 || !strings.HasPrefix(out, "NODE ") || !strings.HasPrefix(lines[1], name) || !strings.Contains(lines[1], "eks-recycle/a") || log != "" {
			t.Errorf("status: exit %d\n%s%s", code, out, log)
		}
		if code, out, _ := k.run("status -o json"); code != 0 || !strings.HasPrefix(out, `{"step":"status"`) {
			t.Errorf("status: exit %d: %s", code, out)
		}
		for _, line := range []string{"start " + name, "start " + id, "restore " + name} {
			if code, out, log := k.run(line); code != 1 || out != "" || !strings.Contains(log, strings.Fields(line)[1]+" is being recycled") || !strings.Contains(log, "hint: ") {
				t.Errorf("%s: exit %d, %s%s", line, code, out, log)
			}
		}
		if code, out, log := k.run("stop " + name); code != 0 || out != "workflow.argoproj.io/a stopped\n" || !k.stopped() {
			t.Errorf("stop: exit %d, %s%s", code, out, log)
		}
		if calls := w.sim.Calls(0); len(calls) > 0 {
			t.Errorf("AWS was asked: %v", calls)
		}
		w.doneAs("a", "settle", append(flags, "--workflow-status", "Failed")...)
		if code, _, log := k.run("stop " + name); code != 1 || !strings.Contains(log, "is parked") {
			t.Errorf("stop: exit %d, %s", code, log)
		}
		if code, out, log := k.run("restore " + name); code != 0 || out != "workflow.argoproj.io/recycle-restore-x7k2p created\n" {
			t.Errorf("restore: exit %d, %s%s", code, out, log)
		}
		if template, parameters := k.submitted(); template != "recycle-restore" || !maps.Equal(parameters, map[string]string{"node": name}) {
			t.Errorf("submitted %s %v", template, parameters)
		}
		if code, _, log := k.run("start " + name); code != 0 {
			t.Errorf("start of a parked recycle: exit %d, %s", code, log)
		}
	})
}

func TestKubectlRecycleRefuses(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		k := w.kubectl()
		name := w.nodeOf(w.ids[0]).Name
		w.forgedLease(w.ids[1], map[string]string{"eks-recycle.io/record": `{"retiringSince":"2000-01-01T00:00:00Z"}`}, nil)
		for line, want := range map[string]struct {
			code int
			says []string
		}{
			"":                                  {0, nil},
			"stat":                              {2, []string{`error: command "stat" is unknown`, "kubectl recycle --help"}},
			"start":                             {2, []string{"give one node or instance", "for example kubectl recycle start "}},
			"start a b":                         {2, []string{"give one node or instance"}},
			"start i-12":                        {2, []string{`instance id "i-12" is malformed`}},
			"start nosuch":                      {1, []string{`"nosuch"`, "not found"}},
			"start " + name + " -p max-wiat=4h": {2, []string{`has no parameter "max-wiat"`, "did you mean max-wait?"}},
			"start " + name + " -p max-wait":    {2, []string{`parameter "max-wait" has no value`}},
			"start " + name + " -p node=b":      {2, []string{"the node is the argument"}},
			"start " + name + " --max-wait 4h":  {2, []string{"flag provided but not defined: -max-wait", "kubectl recycle start --help"}},
			"start " + name + " -n elsewhere":   {1, []string{`WorkflowTemplate "recycle-node" in namespace "elsewhere"`, "is eks-recycle installed"}},
			"start " + name + " --template nix": {1, []string{`WorkflowTemplate "nix"`}},
			"stop " + name:                      {1, []string{"no recycle of " + name + " has begun"}},
			"restore " + w.ids[1]:               {1, []string{"is being retired since", "kubectl recycle start"}},
		} {
			code, out, log := k.run(line)
			if template, _ := k.submitted(); code != want.code || template != "" || (code != 0 && out != "") {
				t.Errorf("%q: exit %d, submitted %q\n%s%s", line, code, template, out, log)
			}
			for _, text := range want.says {
				if !strings.Contains(log, text) {
					t.Errorf("%q does not say %q: %s", line, text, log)
				}
			}
		}
	})
}

// A person who may submit need not be allowed to read Nodes: the workflow checks the name then.
func TestKubectlRecycleOfAPersonWhoMayNotReadNodes(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		k := w.kubectl()
		w.kube.PrependReactor("get", "nodes", func(ktesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewForbidden(corev1.Resource("nodes"), "", nil)
		})
		if code, _, log := k.run("start some-node"); code != 0 {
			t.Errorf("exit %d: %s", code, log)
		}
	})
}

func TestKubectlRecycleStopsOnlyRecyclesOfItsNamespace(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		k := w.kubectl()
		w.step("standby", "--instance-id", w.ids[0], "--workflow-name", "jo@laptop")
		if code, _, log := k.run("stop " + w.ids[0]); code != 1 || !strings.Contains(log, "jo@laptop runs the steps") {
			t.Errorf("exit %d: %s", code, log)
		}
		w.forgedLease(w.ids[1], map[string]string{"eks-recycle.io/workflow": "payments/important"}, nil)
		if code, _, log := k.run("stop " + w.ids[1]); code != 1 || !strings.Contains(log, "is not in namespace eks-recycle") {
			t.Errorf("exit %d: %s", code, log)
		}
		w.forgedLease(w.ids[2], map[string]string{"eks-recycle.io/workflow": "eks-recycle/a"}, nil)
		if code, _, log := k.run("stop " + w.ids[2]); code != 1 || !strings.Contains(log, "has ended") || k.stopped() {
			t.Errorf("of another uid: exit %d: %s", code, log)
		}
		time.Sleep(time.Minute)
		if slices.Contains(w.actions(), "ExitStandby") {
			t.Error("it was brought back")
		}
	})
}
