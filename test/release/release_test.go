// Package release checks what `make release` writes: that the manifests, the chart and the module hold what the checkout does, and
// that the chart's values do what they say.
package release

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/eks-recycle/eks-recycle/internal/release"
)

const (
	root    = "../.."
	version = "v0.1.0"
	image   = "ghcr.io/eks-recycle/step:" + version
)

// written is a release in a folder of its own.
func written(t *testing.T) string {
	t.Helper()
	dist := filepath.Join(t.TempDir(), "dist")
	if err := release.Write(root, version, dist); err != nil {
		t.Fatal(err)
	}
	return dist
}

// objects are those of a YAML stream, by kind and name.
func objects(t *testing.T, text []byte) map[string]*unstructured.Unstructured {
	t.Helper()
	all := map[string]*unstructured.Unstructured{}
	for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(document, &o.Object); err != nil {
			t.Fatalf("%v\n%s", err, document)
		}
		if o.Object == nil {
			continue
		}
		id := o.GetKind() + "/" + o.GetName()
		if all[id] != nil {
			t.Errorf("%s is there twice", id)
		}
		all[id] = o
	}
	return all
}

func overlay(t *testing.T, name string) map[string]*unstructured.Unstructured {
	t.Helper()
	rendered, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(root, "workflows", "overlays", name))
	if err != nil {
		t.Fatal(err)
	}
	text, err := rendered.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return objects(t, text)
}

func read(t *testing.T, elem ...string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestManifestsAreTheExamples(t *testing.T) {
	dist := written(t)
	base, events := objects(t, read(t, dist, "install.yaml")), objects(t, read(t, dist, "install-events.yaml"))
	if diff := gocmp.Diff(overlay(t, "example"), base); diff != "" {
		t.Errorf("install.yaml (-example +release):\n%s", diff)
	}
	for name, more := range map[string]map[string]*unstructured.Unstructured{"events": events, "monitoring": objects(t, read(t, dist, "install-monitoring.yaml"))} {
		all := maps.Clone(base)
		maps.Copy(all, more)
		if diff := gocmp.Diff(overlay(t, "example-"+name), all); diff != "" || len(all) != len(base)+len(more) {
			t.Errorf("install-%s.yaml (-example +release):\n%s", name, diff)
		}
	}
}

func TestImageHasTheVersion(t *testing.T) {
	dist := filepath.Join(t.TempDir(), "dist")
	if err := release.Write(root, "v12.3.4-rc.1", dist); err != nil {
		t.Fatal(err)
	}
	text := string(read(t, dist, "install.yaml"))
	if strings.Count(text, "ghcr.io/eks-recycle/step") == 0 || strings.Count(text, "ghcr.io/eks-recycle/step") != strings.Count(text, "ghcr.io/eks-recycle/step:v12.3.4-rc.1\n") {
		t.Error("an image has another tag")
	}
	o := rendered(t, filepath.Join(dist, "eks-recycle-12.3.4-rc.1.tgz"))
	if got, _, _ := unstructured.NestedString(o["WorkflowTemplate/recycle-node"].Object, "spec", "templateDefaults", "container", "image"); got != "ghcr.io/eks-recycle/step:v12.3.4-rc.1" {
		t.Errorf("the chart's image is %s", got)
	}
	for _, bad := range []string{"0.1.0", "v1", "v1.2", "dev", "v01.2.3", "v1.2.3;id"} {
		if err := release.Write(root, bad, dist); err == nil {
			t.Errorf("%s passes for a version", bad)
		}
	}
}

// A release can be made again from its checkout, to the byte.
func TestReleaseIsReproducible(t *testing.T) {
	first, second := written(t), written(t)
	if diff := gocmp.Diff(string(read(t, first, "SHA256SUMS")), string(read(t, second, "SHA256SUMS"))); diff != "" {
		t.Error(diff)
	}
	check := exec.CommandContext(t.Context(), "sha256sum", "--check", "--strict", "SHA256SUMS")
	check.Dir = first
	if out, err := check.CombinedOutput(); err != nil || bytes.Count(out, []byte(": OK\n")) != 5 {
		t.Errorf("%v\n%s", err, out)
	}
}

// The module finds the policies in the archive where it looks for them in the checkout.
func TestModuleHasThePolicies(t *testing.T) {
	folder := t.TempDir()
	unpack(t, filepath.Join(written(t), "eks-recycle-terraform-0.1.0.tgz"), folder)
	for _, account := range accounts {
		policy := filepath.Join("workflows", "base", "accounts", account+".json")
		if diff := gocmp.Diff(string(read(t, root, policy)), string(read(t, folder, "eks-recycle-terraform-0.1.0", policy))); diff != "" {
			t.Error(diff)
		}
	}
	if len(read(t, folder, "eks-recycle-terraform-0.1.0", "terraform", "main.tf")) == 0 {
		t.Error("main.tf is empty")
	}
}

var accounts = []string{"eks-recycle", "eks-recycle-fleet", "eks-recycle-sweep", "eks-recycle-reap", "eks-recycle-events"}

func unpack(t *testing.T, file, to string) {
	t.Helper()
	compressed, err := gzip.NewReader(bytes.NewReader(read(t, file)))
	if err != nil {
		t.Fatal(err)
	}
	r := tar.NewReader(compressed)
	for {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(to, filepath.FromSlash(header.Name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, content, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

func helm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	program := cmp.Or(os.Getenv("HELM"), "helm")
	if _, err := exec.LookPath(program); err != nil {
		t.Fatalf("%v: make templates builds Helm, and sets HELM", err)
	}
	var stdout, stderr bytes.Buffer
	c := exec.CommandContext(t.Context(), program, args...)
	c.Stdout, c.Stderr = &stdout, &stderr
	c.Env = []string{"HOME=" + t.TempDir(), "PATH=/usr/bin:/bin"}
	if err := c.Run(); err != nil {
		return "", errors.New(stderr.String())
	}
	return stdout.String(), nil
}

// rendered is a chart with values, in the usual namespace.
func rendered(t *testing.T, chart string, values ...string) map[string]*unstructured.Unstructured {
	t.Helper()
	out, err := helm(t, append([]string{"template", "eks-recycle", chart, "--namespace", "eks-recycle"}, values...)...)
	if err != nil {
		t.Fatal(err)
	}
	return objects(t, []byte("\n"+out))
}

func chart(t *testing.T) string {
	t.Helper()
	return filepath.Join(written(t), "eks-recycle-0.1.0.tgz")
}

func TestChartIsClean(t *testing.T) {
	folder := t.TempDir()
	unpack(t, chart(t), folder)
	if out, err := helm(t, "lint", "--strict", filepath.Join(folder, "eks-recycle")); err != nil {
		t.Error(out, err)
	}
}

var events = []string{"--set", "events.enabled=true", "--set-string", "events.account=111122223333", "--set", "events.region=eu-central-1"}

// The chart makes what the overlays make.
func TestChartIsTheExample(t *testing.T) {
	file := chart(t)
	for name, c := range map[string]struct {
		overlay string
		values  []string
	}{
		"without events":  {"example", nil},
		"with events":     {"example-events", events},
		"with monitoring": {"example-monitoring", []string{"--set", "monitoring.enabled=true"}},
		"with reports":    {"example-report", []string{"--set", "report.enabled=true"}},
	} {
		t.Run(name, func(t *testing.T) {
			want, got := overlay(t, c.overlay), rendered(t, file, c.values...)
			delete(want, "Namespace/eks-recycle") // Helm makes it
			for id, o := range got {
				labels := o.GetLabels()
				for _, helms := range []string{"app.kubernetes.io/managed-by", "app.kubernetes.io/instance", "app.kubernetes.io/version", "helm.sh/chart"} {
					if !strings.HasPrefix(id, "ConfigMap/") && labels[helms] == "" {
						t.Errorf("%s lacks the label %s", id, helms)
					}
					delete(labels, helms)
				}
				o.SetLabels(labels)
				if want[id] == nil {
					continue
				}
				if o.GetKind() == "ConfigMap" || o.GetKind() == "ValidatingAdmissionPolicyBinding" {
					want[id].SetLabels(labels)
				}
				if o.GetKind() == "ValidatingAdmissionPolicyBinding" { // a chart cannot label its namespace
					set(t, want[id], map[string]any{"kubernetes.io/metadata.name": "eks-recycle"}, "spec", "matchResources", "namespaceSelector", "matchLabels")
				}
			}
			if diff := gocmp.Diff(want, got); diff != "" {
				t.Errorf("objects (-%s +chart):\n%s", c.overlay, diff)
			}
		})
	}
}

func set(t *testing.T, o *unstructured.Unstructured, value any, path ...string) {
	t.Helper()
	if err := unstructured.SetNestedField(o.Object, value, path...); err != nil {
		t.Fatal(err)
	}
}

func TestChartInAnotherNamespace(t *testing.T) {
	out, err := helm(t, append([]string{"template", "nodes", chart(t), "--namespace", "ops"}, events...)...)
	if err != nil {
		t.Fatal(err)
	}
	all := objects(t, []byte("\n"+out))
	for id, o := range all {
		wide := o.GetNamespace() == ""
		if !wide && o.GetNamespace() != "ops" || wide && !strings.HasSuffix(o.GetName(), "-ops") {
			t.Errorf("%s is in namespace %q", id, o.GetNamespace())
		}
		if kind, _, _ := unstructured.NestedString(o.Object, "roleRef", "kind"); kind != "" {
			name, _, _ := unstructured.NestedString(o.Object, "roleRef", "name")
			if all[kind+"/"+name] == nil {
				t.Errorf("%s binds %s %s, which is not there", id, kind, name)
			}
			subjects, _, _ := unstructured.NestedSlice(o.Object, "subjects")
			subject, _ := subjects[0].(map[string]any)
			if subject["namespace"] != "ops" {
				t.Errorf("%s binds %v", id, subject)
			}
		}
	}
	if policy, _, _ := unstructured.NestedString(all["ValidatingAdmissionPolicyBinding/eks-recycle-ops"].Object, "spec", "policyName"); policy != "eks-recycle-ops" {
		t.Errorf("the binding is of policy %s", policy)
	}
	if strings.Contains(out, "namespace: eks-recycle\n") {
		t.Error("something names the usual namespace")
	}
}

func TestChartValues(t *testing.T) {
	file := chart(t)
	for name, c := range map[string]struct {
		values string
		object string
		want   map[string]any // by path, with slashes
	}{
		"another image": {"image.repository=registry.example/step,image.tag=v9,image.pullPolicy=Always,image.pullSecrets={one,two}", "WorkflowTemplate/recycle-node", map[string]any{
			"spec/templateDefaults/container/image": "registry.example/step:v9", "spec/templateDefaults/container/imagePullPolicy": "Always",
			"spec/imagePullSecrets": []any{map[string]any{"name": "one"}, map[string]any{"name": "two"}},
		}},
		"a role": {`serviceAccountAnnotations.eks-recycle-fleet.eks\.amazonaws\.com/role-arn=arn:aws:iam::111122223333:role/fleet`, "ServiceAccount/eks-recycle-fleet", map[string]any{
			"metadata/annotations": map[string]any{"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/fleet"},
		}},
		"placement": {"pods.nodeSelector.pool=ops,pods.tolerations[0].operator=Exists,pods.priorityClassName=system-cluster-critical,pods.labels.team=a,pods.annotations.note=b", "WorkflowTemplate/recycle-fleet", map[string]any{
			"spec/nodeSelector": map[string]any{"pool": "ops"}, "spec/tolerations": []any{map[string]any{"operator": "Exists"}}, "spec/podPriorityClassName": "system-cluster-critical",
			"spec/podMetadata/labels": map[string]any{"app.kubernetes.io/name": "eks-recycle", "team": "a"},
		}},
		"environment":          {"env.AWS_REGION=eu-west-1,env.AWS_USE_FIPS_ENDPOINT=true", "ConfigMap/eks-recycle-env", map[string]any{"data": map[string]any{"AWS_REGION": "eu-west-1", "AWS_USE_FIPS_ENDPOINT": "true"}}},
		"a schedule":           {"schedules.recycle-reap.suspend=false,schedules.recycle-reap.schedules={0 1 * * *},schedules.recycle-reap.parameters.cluster=prod", "CronWorkflow/recycle-reap", map[string]any{"spec/suspend": false, "spec/schedules": []any{"0 1 * * *"}, "spec/workflowSpec/arguments": map[string]any{"parameters": []any{map[string]any{"name": "cluster", "value": "prod"}}}}},
		"labels of the alerts": {"monitoring.enabled=true,monitoring.labels.release=prometheus", "PrometheusRule/eks-recycle", map[string]any{"metadata/labels/release": "prometheus"}},
		"no alerts":            {"monitoring.enabled=false", "PrometheusRule/eks-recycle", nil},
		"no policy":            {"admissionPolicy.enabled=false", "ValidatingAdmissionPolicy/eks-recycle", nil},
		"no network policy":    {"networkPolicy.enabled=false", "NetworkPolicy/eks-recycle", nil},
	} {
		t.Run(name, func(t *testing.T) {
			o := rendered(t, file, "--set", c.values)[c.object]
			if (o == nil) != (c.want == nil) {
				t.Fatalf("%s is there: %t", c.object, o != nil)
			}
			for path, want := range c.want {
				got, _, err := unstructured.NestedFieldNoCopy(o.Object, strings.Split(path, "/")...)
				if path == "metadata/annotations" {
					got, _, err = unstructured.NestedMap(o.Object, "metadata", "annotations")
				}
				if diff := gocmp.Diff(want, got); err != nil || diff != "" {
					t.Errorf("%s: %v\n%s", path, err, diff)
				}
			}
		})
	}
	t.Run("a default of a parameter", func(t *testing.T) {
		o := rendered(t, file, "--set-string", `parameters.recycle-node.max-wait=20h,parameters.recycle-node.label-selector=app=batch\,tier=gold`)["WorkflowTemplate/recycle-node"]
		all, _, _ := unstructured.NestedSlice(o.Object, "spec", "arguments", "parameters")
		got := map[string]any{}
		for _, p := range all {
			p, _ := p.(map[string]any)
			got[p["name"].(string)] = p["value"]
		}
		if got["max-wait"] != "20h" || got["label-selector"] != "app=batch,tier=gold" || got["action"] != "stop" {
			t.Errorf("defaults: %v", got)
		}
	})
}

func TestChartRefusesWhatItDoesNotKnow(t *testing.T) {
	file := chart(t)
	for values, says := range map[string]string{
		"env.AWS_ENDPOINT_URL=http://evil.example": "AWS_ENDPOINT_URL",
		"imge.tag=v1":                                         "imge",
		"parameters.recycle-node.max-wiat=20h":                "recycle-node has no parameter max-wiat; it has instance-id",
		"parameters.recycle-nod.max-wait=20h":                 "WorkflowTemplate recycle-nod, which the chart does not have",
		"serviceAccountAnnotations.default.a=b":               "ServiceAccount default, which the chart does not have",
		"events.enabled=true":                                 "events.account: set the AWS account",
		"events.enabled=true,events.account=1":                "events/account",
		"schedules.recycle-reap.suspend=perhaps":              "suspend",
		"events.enabled=true,events.account=\"111122223333\"": "events/account",
	} {
		if out, err := helm(t, "template", "eks-recycle", file, "--namespace", "eks-recycle", "--set", values); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: it does not say %q: %v\n%s", values, says, err, firstLine(out))
		}
	}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// Every value is described.
func TestChartValuesAreDescribed(t *testing.T) {
	lines := strings.Split(string(read(t, root, "chart", "values.yaml")), "\n")
	for i, line := range lines {
		top := line != "" && !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "#")
		if top && (i == 0 || !strings.HasPrefix(lines[i-1], "#")) {
			t.Errorf("nothing says what %s is", line)
		}
	}
	if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "events:") }) {
		t.Error("there are no events")
	}
}
