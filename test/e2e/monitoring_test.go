package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	wfv1 "github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A real Prometheus scrapes the real controller with the shipped alerts, whose times are cut short: what fails fires and resolves, and a
// parked node fires.
func TestAlertsFireAndResolve(t *testing.T) {
	t.Parallel()
	s := given(t, "monitoring")
	p := s.prometheus()
	if firing := p.firing(); slices.Contains(firing, "EksRecycleFailed interruption") {
		t.Fatalf("before anything has failed: %v", firing)
	}

	s.batch(s.ids[0], "long", endless)
	r := s.submit("instance-id=" + s.ids[0])
	failing := s.submitFrom("workflowtemplate/drain-interrupted", "instance-id=i-00000000000000000")
	failing.ends(wfv1.WorkflowFailed)
	s.await(2*time.Minute, "the alert on a failure", func(ctx) (bool, string, error) {
		firing := p.firing()
		return slices.Contains(firing, "EksRecycleFailed interruption"), strings.Join(firing, ", "), nil
	})
	s.await(3*time.Minute, "its end", func(ctx) (bool, string, error) {
		firing := p.firing()
		return !slices.Contains(firing, "EksRecycleFailed interruption"), strings.Join(firing, ", "), nil
	})

	r.running("drain")
	s.stopped(r, "stays on standby")
	swept := s.onlySweeper()
	s.sweep()
	swept()
	s.await(2*time.Minute, "the alert on a parked node", func(ctx) (bool, string, error) {
		firing := p.firing()
		return slices.Contains(firing, "EksRecycleParked "), strings.Join(firing, ", "), nil
	})
	p.holds("max(max_over_time(argo_workflows_eks_recycle_parked[5m])) >= 1")
	p.holds(`count(max_over_time(argo_workflows_eks_recycle_workflows_total{kind="sweep",status="Succeeded"}[5m])) == 1`)
	s.finishes("long")
	s.submit("instance-id=" + s.ids[0]).ends(wfv1.WorkflowSucceeded)
	s.recycled("stopped")
}

// prometheus is one that scrapes the workflow-controller each second.
type prometheus struct {
	*scenario
	url string
}

// shorter cuts the times of the alerts, so that they fire and resolve while the test waits.
var shorter = strings.NewReplacer("[30m]", "[40s]", "offset 30m", "offset 40s", "[1h]", "[10s]", "[3h]", "[10m]",
	"for: 1d", "for: 5s", "for: 2h", "for: 5s", "for: 45m", "for: 1m")

func (s *scenario) prometheus() prometheus {
	s.Helper()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		s.Fatal("there is no Prometheus: make e2e installs it, or apt-get install --no-install-recommends prometheus")
	}
	dir := s.TempDir()
	rules, err := os.ReadFile("../../workflows/components/monitoring/rules.yaml")
	s.must(err)
	s.must(os.WriteFile(filepath.Join(dir, "rules.yaml"), []byte(shorter.Replace(string(rules))), 0o600))
	config := filepath.Join(dir, "prometheus.yml")
	s.must(os.WriteFile(config, fmt.Appendf(nil, `
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules.yaml]
scrape_configs:
  - job_name: workflow-controller
    scheme: https
    tls_config: {insecure_skip_verify: true}
    http_sd_configs: [{url: "%s", refresh_interval: 1s}]
`, s.controllers()), 0o600))
	port, err := net.Listen("tcp", "127.0.0.1:0")
	s.must(err)
	address := port.Addr().String()
	s.must(port.Close())
	var log bytes.Buffer
	c := exec.CommandContext(s.Context(), program, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	c.Stdout, c.Stderr = &log, &log
	s.must(c.Start())
	s.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
		if s.Failed() {
			s.Logf("Prometheus says:\n%s", log.String())
		}
	})
	p := prometheus{s, "http://" + address + "/api/v1/"}
	p.holds(`max(up{job="workflow-controller"}) == 1`)
	return p
}

// controllers serves the addresses of the workflow-controller's pods: Debian's Prometheus knows no Kubernetes. A pod that is replaced has
// another one.
func (s *scenario) controllers() (url string) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pods, err := s.kube.CoreV1().Pods("argo").List(r.Context(), metav1.ListOptions{LabelSelector: "app=workflow-controller"})
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		targets := []string{}
		for _, p := range pods.Items {
			if p.Status.PodIP != "" && p.DeletionTimestamp == nil {
				targets = append(targets, net.JoinHostPort(p.Status.PodIP, "9090"))
			}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode([]any{map[string]any{"targets": targets}})
	}))
	s.Cleanup(server.Close)
	return server.URL
}

// answer is the data of an answer of Prometheus (https://prometheus.io/docs/prometheus/latest/querying/api/).
type answer struct {
	Alerts []struct {
		Labels map[string]string
		State  string
	}
	Result []struct{}
}

func (p prometheus) ask(path string) (a answer, err error) {
	response, err := http.Get(p.url + path)
	if err != nil {
		return a, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return a, errors.New(response.Status)
	}
	var whole struct{ Data answer }
	err = json.NewDecoder(response.Body).Decode(&whole)
	return whole.Data, err
}

// holds waits until a comparison holds. It looks back: a scrape that fails, on a busy machine, ends all series until the next one.
func (p prometheus) holds(comparison string) {
	p.Helper()
	p.await(time.Minute, comparison, func(ctx) (bool, string, error) {
		a, err := p.ask("query?query=" + url.QueryEscape(comparison))
		if err != nil {
			return false, err.Error(), nil
		}
		return len(a.Result) > 0, fmt.Sprintf("%d series", len(a.Result)), nil
	})
}

// firing lists the alerts that fire, each with its kind.
func (p prometheus) firing() (all []string) {
	p.Helper()
	a, err := p.ask("alerts")
	p.must(err)
	for _, alert := range a.Alerts {
		if alert.State == "firing" {
			all = append(all, alert.Labels["alertname"]+" "+alert.Labels["kind"])
		}
	}
	return all
}
