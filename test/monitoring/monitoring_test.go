// Package monitoring_test holds the metrics of the WorkflowTemplates, the alerts, the dashboard and their documentation to one another.
// "make monitoring" gives it promtool, which parses every expression and plays rules.test.yaml.
package monitoring_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write prometheus-rule.yaml")

const (
	component = "../../workflows/components/monitoring"
	prefix    = "argo_workflows_"
)

// Of the controller: https://argo-workflows.readthedocs.io/en/latest/metrics/
var ofArgo = []string{"argo_workflows_gauge", "argo_workflows_error_count"}

type metric struct {
	Name, Help string
	Labels     []struct{ Key, Value string }
	Counter    *struct{ Value string }
	Gauge      *struct{ Value string }
	Histogram  *struct {
		Value   string
		Buckets []float64
	}
}

func (m metric) kind() string {
	switch {
	case m.Counter != nil:
		return "counter"
	case m.Gauge != nil:
		return "gauge"
	default:
		return "histogram"
	}
}

func (m metric) keys() (keys []string) {
	for _, l := range m.Labels {
		keys = append(keys, "`"+l.Key+"`")
	}
	return keys
}

type monitored struct {
	Metrics struct{ Prometheus []metric }
}

type template struct {
	Kind     string
	Metadata struct{ Name string }
	Spec     struct {
		monitored
		Templates []monitored
	}
}

// templates are the WorkflowTemplates as they are applied.
func templates(t *testing.T) (all []template) {
	t.Helper()
	rendered, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), "../../workflows/base")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rendered.Resources() {
		if r.GetKind() != "WorkflowTemplate" {
			continue
		}
		var wt template
		if text, err := r.AsYAML(); err != nil || yaml.Unmarshal(text, &wt) != nil {
			t.Fatalf("%s: %v", r.GetName(), err)
		}
		all = append(all, wt)
	}
	return all
}

// metrics are those that the templates emit, by name, without the controller's prefix.
func metrics(t *testing.T) map[string]metric {
	t.Helper()
	all := map[string]metric{}
	for _, wt := range templates(t) {
		if len(wt.Spec.Metrics.Prometheus) == 0 {
			t.Errorf("%s has no metrics", wt.Metadata.Name)
		}
		for _, of := range append(wt.Spec.Templates, wt.Spec.monitored) {
			for _, m := range of.Metrics.Prometheus {
				// The controller refuses another help or type of a name that it knows.
				if first, ok := all[m.Name]; ok && (first.Help != m.Help || first.kind() != m.kind() || !slices.Equal(first.keys(), m.keys())) {
					t.Errorf("%s, %s: it is not as elsewhere", wt.Metadata.Name, m.Name)
				}
				all[m.Name] = m
			}
		}
	}
	return all
}

// The number of series must not grow with nodes, instances or workflows.
func TestLabelsAreOfSmallSets(t *testing.T) {
	small := []string{
		"{{workflow.mainEntrypoint}}", "{{workflow.status}}", // of the templates, of Argo
		"{{workflow.parameters.source}}", // an enum
		"{{outputs.parameters.starts}}",  // a template, or nothing
		"recycled", "skipped", "failed",
		"standby", "taint", "drain", "evict", "retire", "settle", "complete", "interruption",
	}
	for _, wt := range templates(t) {
		for _, of := range append(wt.Spec.Templates, wt.Spec.monitored) {
			for _, m := range of.Metrics.Prometheus {
				for _, l := range m.Labels {
					if !slices.Contains(small, l.Value) {
						t.Errorf("%s, %s: label %s is %s", wt.Metadata.Name, m.Name, l.Key, l.Value)
					}
				}
			}
		}
	}
}

func TestDocsListTheMetrics(t *testing.T) {
	var want []string
	for name, m := range metrics(t) {
		want = append(want, fmt.Sprintf("| `%s%s` | %s | %s | %s |", prefix, name, m.kind(), strings.Join(m.keys(), ", "), m.Help))
	}
	slices.Sort(want)
	got := regexp.MustCompile("(?m)^\\| `"+prefix+"eks_recycle.*$").FindAllString(string(read(t, "../../docs/monitoring.md")), -1)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/monitoring.md (-templates +docs):\n%s", diff)
	}
}

type rules struct {
	Groups []struct {
		Rules []struct {
			Alert, Expr string
			Annotations map[string]string
		}
	}
}

// expressions are those of the alerts and of the dashboard, by name.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, g := range alerts(t).Groups {
		for _, r := range g.Rules {
			all[r.Alert] = r.Expr
		}
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ RefID, Expr string }
		}
	}
	if err := json.Unmarshal(read(t, component, "dashboard.json"), &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			all[p.Title+" "+target.RefID] = target.Expr
		}
	}
	return all
}

func alerts(t *testing.T) (r rules) {
	t.Helper()
	if err := yaml.Unmarshal(read(t, component, "rules.yaml"), &r); err != nil || len(r.Groups) == 0 || len(r.Groups[0].Rules) == 0 {
		t.Fatalf("rules.yaml: %v, %+v", err, r)
	}
	return r
}

var (
	notNames = regexp.MustCompile(`"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\b(by|without|on|ignoring)\s*\([^)]*\)`)
	name     = regexp.MustCompile(`\b[a-z_][a-z0-9_]*\b\s*\(?`)
	keywords = []string{"or", "and", "unless", "offset"}
)

func TestExpressionsNameMetricsThatExist(t *testing.T) {
	exist, used := slices.Clone(ofArgo), map[string]bool{}
	for name, m := range metrics(t) {
		if m.kind() != "histogram" {
			exist = append(exist, prefix+name)
			continue
		}
		exist = append(exist, prefix+name+"_bucket", prefix+name+"_sum", prefix+name+"_count")
	}
	for where, expr := range expressions(t) {
		found := 0
		for _, word := range name.FindAllString(notNames.ReplaceAllString(expr, " "), -1) {
			if word = strings.TrimSpace(word); strings.HasSuffix(word, "(") || slices.Contains(keywords, word) {
				continue
			}
			found++
			used[word] = true
			if !slices.Contains(exist, word) {
				t.Errorf("%s: nothing emits %s", where, word)
			}
		}
		if found == 0 {
			t.Errorf("%s names no metric: %s", where, expr)
		}
	}
	for name := range metrics(t) {
		if exported := prefix + name; !used[exported] && !used[exported+"_bucket"] {
			t.Errorf("neither an alert nor the dashboard shows %s", exported)
		}
	}
}

// Kinds, in metrics, are entrypoints.
func TestExpressionsNameKindsThatExist(t *testing.T) {
	var entrypoints []string
	for _, m := range regexp.MustCompile(`(?m)^  entrypoint: (\S+)$`).FindAllStringSubmatch(string(bytes.Join(files(t, "../../workflows/base/*.yaml"), nil)), -1) {
		entrypoints = append(entrypoints, m[1])
	}
	for where, expr := range expressions(t) {
		for _, m := range regexp.MustCompile(`kind=~?"([^"]*)"`).FindAllStringSubmatch(expr, -1) {
			for kind := range strings.SplitSeq(m[1], "|") {
				if !slices.Contains(entrypoints, kind) {
					t.Errorf("%s: no template has the entrypoint %s; there are %v", where, kind, entrypoints)
				}
			}
		}
	}
}

func TestPromtoolAcceptsTheExpressions(t *testing.T) {
	promtool(t, "check", "rules", filepath.Join(component, "rules.yaml"))
	var r struct {
		Groups []any `json:"groups"`
	}
	var all []any
	for _, expr := range expressions(t) {
		all = append(all, map[string]string{"record": fmt.Sprintf("dashboard:%d", len(all)), "expr": expr})
	}
	r.Groups = []any{map[string]any{"name": "dashboard", "rules": all}}
	text, err := yaml.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "dashboard.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", file)
}

func TestAlertsFireAndDoNot(t *testing.T) {
	promtool(t, "test", "rules", "rules.test.yaml")
	var played struct {
		Tests []struct {
			Cases []struct {
				Alertname string `json:"alertname"`
				Expected  []any  `json:"exp_alerts"`
			} `json:"alert_rule_test"`
		} `json:"tests"`
	}
	if err := yaml.Unmarshal(read(t, "rules.test.yaml"), &played); err != nil {
		t.Fatal(err)
	}
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, test := range played.Tests {
		for _, c := range test.Cases {
			fires[c.Alertname] = fires[c.Alertname] || len(c.Expected) > 0
			silent[c.Alertname] = silent[c.Alertname] || len(c.Expected) == 0
		}
	}
	for _, g := range alerts(t).Groups {
		for _, r := range g.Rules {
			if !fires[r.Alert] || !silent[r.Alert] {
				t.Errorf("rules.test.yaml: %s has to fire and not to fire", r.Alert)
			}
		}
	}
}

func TestAlertsSayWhatToDo(t *testing.T) {
	anchors := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^#+ (\S+)$`).FindAllStringSubmatch(string(read(t, "../../docs/troubleshooting.md")), -1) {
		anchors[strings.ToLower(m[1])] = true
	}
	page := string(read(t, "../../docs/monitoring.md"))
	for _, g := range alerts(t).Groups {
		for _, r := range g.Rules {
			anchor, ok := strings.CutPrefix(r.Annotations["runbook_url"], "https://github.com/eks-recycle/eks-recycle/blob/main/docs/troubleshooting.md#")
			if !ok || !anchors[anchor] || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("%s: %v", r.Alert, r.Annotations)
			}
			if !strings.Contains(page, "[`"+r.Alert+"`](troubleshooting.md#"+anchor+")") {
				t.Errorf("docs/monitoring.md does not list %s", r.Alert)
			}
		}
	}
}

// The object of the Prometheus Operator holds the same groups as the plain file.
func TestPrometheusRuleIsThePlainFile(t *testing.T) {
	var plain any
	if err := yaml.Unmarshal(read(t, component, "rules.yaml"), &plain); err != nil {
		t.Fatal(err)
	}
	want, err := yaml.Marshal(map[string]any{
		"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "spec": plain,
		"metadata": map[string]any{"name": "eks-recycle", "namespace": "eks-recycle", "labels": map[string]string{"app.kubernetes.io/name": "eks-recycle"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want = append([]byte("# Made of rules.yaml by: go test ./test/monitoring -run TestPrometheusRuleIsThePlainFile -update\n"), want...)
	file := filepath.Join(component, "prometheus-rule.yaml")
	if *update {
		if err := os.WriteFile(file, want, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(want), string(read(t, file))); diff != "" {
		t.Errorf("prometheus-rule.yaml (-want +got), -update accepts it:\n%s", diff)
	}
}

func TestComponentRenders(t *testing.T) {
	rendered, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), "../../workflows/overlays/example-monitoring")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rendered.Resources() {
		if id := r.GetKind() + "/" + r.GetName(); r.GetKind() == "PrometheusRule" || r.GetLabels()["grafana_dashboard"] == "1" {
			got = append(got, r.GetNamespace()+"/"+id)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{"eks-recycle/ConfigMap/eks-recycle-dashboard", "eks-recycle/PrometheusRule/eks-recycle"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func promtool(t *testing.T, args ...string) {
	t.Helper()
	tool := os.Getenv("PROMTOOL")
	if tool == "" {
		t.Fatal("PROMTOOL is not set: run make monitoring")
	}
	if out, err := exec.CommandContext(t.Context(), tool, args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func read(t *testing.T, elem ...string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func files(t *testing.T, pattern string) (all [][]byte) {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) == 0 {
		t.Fatalf("%s: %v, %v", pattern, found, err)
	}
	for _, file := range found {
		all = append(all, read(t, file))
	}
	return all
}
