package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	wfv1 "github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
)

// The UI of Argo shows what its server answers. This is the real server, asked as the UI asks it, by somebody who has the Role of the
// installation page and nothing else.
func TestWhatTheArgoUIShows(t *testing.T) {
	t.Parallel()
	s := given(t, "ui")
	server := s.argoServer(s.submitter())

	var templates wfv1.WorkflowTemplateList
	server.get("workflow-templates/"+s.cluster.Namespace, &templates)
	shipped := map[string]bool{}
	for _, w := range templates.Items {
		if !strings.Contains(w.Name, "e2e-") { // those of other scenarios
			shipped[w.Name] = true
			s.form(&w)
		}
	}
	for _, name := range []string{"recycle-node", "recycle-fleet", "recycle-restore", "recycle-sweep", "recycle-reap", "recycle-queued", "drain-terminating", "drain-interrupted", "on-event"} {
		if !shipped[name] {
			t.Errorf("the server does not list %s", name)
		}
	}

	s.batch(s.ids[0], "long", endless)
	submit := map[string]any{"resourceKind": "WorkflowTemplate", "resourceName": "recycle-node", "submitOptions": map[string]any{
		"labels": "submit-from-ui=true", "parameters": []string{"instance-id=" + s.ids[0], "label-selector=app=batch"},
	}}
	var submitted wfv1.Workflow
	server.send(http.MethodPost, "workflows/"+s.cluster.Namespace+"/submit", submit, &submitted)
	r := recycle{s, submitted.Name}
	waiting := fmt.Sprintf("1 pod(s) on node %s still run", s.nodes[s.ids[0]])
	s.await(4*time.Minute, "what the UI shows of the drain", func(ctx) (bool, string, error) {
		var wf wfv1.Workflow
		server.get("workflows/"+s.cluster.Namespace+"/"+r.name, &wf)
		i := slices.IndexFunc(ofTemplate(wf, "drain"), func(n wfv1.NodeStatus) bool { return strings.Contains(parameter(n, "message"), waiting) })
		return i >= 0 && wf.Status.Progress != "", fmt.Sprintf("progress %q, messages of the drain: %v", wf.Status.Progress, messages(ofTemplate(wf, "drain"))), nil
	})
	s.finishes("long")
	r.ends(wfv1.WorkflowSucceeded)
	var wf wfv1.Workflow
	server.get("workflows/"+s.cluster.Namespace+"/"+r.name, &wf)
	if standby := ofTemplate(wf, "standby"); len(standby) == 0 || parameter(standby[0], "replacement-instance-id") == "" || parameter(standby[0], "node-name") != s.nodes[s.ids[0]] {
		t.Errorf("outputs of standby: %+v", standby)
	}
	s.recycled("stopped")

	own := map[string]any{"workflow": map[string]any{
		"metadata": map[string]any{"generateName": "own-"},
		"spec": map[string]any{"entrypoint": "own", "templates": []any{
			map[string]any{"name": "own", "container": map[string]any{"image": "busybox"}},
		}},
	}}
	for method, path := range map[string]string{
		"DELETE": "workflow-templates/" + s.cluster.Namespace + "/recycle-node",
		"PUT":    "cron-workflows/" + s.cluster.Namespace + "/recycle-reap/resume",
		"POST":   "workflows/default",
	} {
		if code, text := server.request(method, path, own); code != http.StatusForbidden {
			t.Errorf("%s %s by a submitter: %d %s", method, path, code, text)
		}
	}
	for _, verb := range []string{"patch nodes", "create pods -n " + s.cluster.Namespace, "update leases -n " + s.cluster.Namespace} {
		subject := "system:serviceaccount:" + s.namespace + ":submitter"
		if out, err := s.command(s.Context(), append([]string{s.cluster.Kubectl, "auth", "can-i", "--as", subject}, strings.Fields(verb)...)...); err == nil {
			t.Errorf("a submitter may %s: %s", verb, out)
		}
	}
}

// form checks what people see of a template before they submit it.
func (s *scenario) form(w *wfv1.WorkflowTemplate) {
	s.Helper()
	if w.Annotations["workflows.argoproj.io/title"] == "" || w.Annotations["workflows.argoproj.io/description"] == "" {
		s.Errorf("template %s has no title or no description", w.Name)
	}
	for _, p := range w.Spec.Arguments.Parameters {
		if p.Description == nil || p.Description.String() == "" {
			s.Errorf("parameter %s of template %s has no description", p.Name, w.Name)
		}
		if p.Value != nil && len(p.Enum) > 0 && !slices.Contains(p.Enum, *p.Value) {
			s.Errorf("parameter %s of template %s is %s by default, and may be one of %v", p.Name, w.Name, *p.Value, p.Enum)
		}
	}
}

func ofTemplate(wf wfv1.Workflow, name string) (all []wfv1.NodeStatus) {
	for _, n := range wf.Status.Nodes {
		if n.Type == wfv1.NodeTypePod && n.TemplateName == name {
			all = append(all, n)
		}
	}
	return all
}

func parameter(n wfv1.NodeStatus, name string) string {
	if n.Outputs != nil {
		for _, p := range n.Outputs.Parameters {
			if p.Name == name && p.Value != nil {
				return p.Value.String()
			}
		}
	}
	return ""
}

func messages(all []wfv1.NodeStatus) (texts []string) {
	for _, n := range all {
		texts = append(texts, parameter(n, "message"))
	}
	return texts
}

// submitter makes a service account with the Role of the installation page, and returns a token of it.
func (s *scenario) submitter() (token string) {
	s.Helper()
	page, err := os.ReadFile("../../docs/install.md")
	s.must(err)
	const head = "apiVersion: rbac.authorization.k8s.io/v1\n"
	_, block, found := strings.Cut(string(page), "```yaml\n"+head)
	block, _, closed := strings.Cut(block, "```")
	if !found || !closed {
		s.Fatal("the page has no Role for submitters")
	}
	role := filepath.Join(s.TempDir(), "role.yaml")
	s.must(os.WriteFile(role, []byte(head+block), 0o600))
	for _, args := range [][]string{
		{"apply", "-f", role},
		{"create", "serviceaccount", "-n", s.namespace, "submitter"},
		{"create", "rolebinding", "-n", s.cluster.Namespace, s.group + "-submitter", "--role=recycle-submitter", "--serviceaccount=" + s.namespace + ":submitter"},
		{"create", "token", "-n", s.namespace, "submitter"},
	} {
		if token, err = s.command(s.Context(), append([]string{s.cluster.Kubectl}, args...)...); err != nil {
			s.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, token)
		}
	}
	return strings.TrimSpace(token)
}

// argoServer is Argo's server, with somebody's token.
type argoServer struct {
	*scenario
	url, token string
}

func (s *scenario) argoServer(token string) argoServer {
	s.Helper()
	port, err := net.Listen("tcp", "127.0.0.1:0")
	s.must(err)
	_, number, err := net.SplitHostPort(port.Addr().String())
	s.must(errors.Join(err, port.Close()))
	var log bytes.Buffer
	c := exec.CommandContext(s.Context(), s.cluster.Argo, "server", "--auth-mode=client", "--secure=false", "--namespace=argo", "--port="+number)
	c.Env, c.Stdout, c.Stderr = s.cluster.Env("/usr/bin:/bin"), &log, &log
	s.must(c.Start())
	s.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
		if s.Failed() {
			s.Logf("Argo's server says:\n%s", log.String())
		}
	})
	server := argoServer{s, "http://127.0.0.1:" + number + "/api/v1/", token}
	s.await(time.Minute, "Argo's server", func(ctx) (bool, string, error) {
		response, err := http.Get(server.url + "version")
		if err != nil {
			return false, err.Error(), nil
		}
		return response.StatusCode != http.StatusServiceUnavailable, response.Status, response.Body.Close()
	})
	return server
}

func (a argoServer) request(method, path string, body any) (code int, text string) {
	a.Helper()
	encoded, err := json.Marshal(body)
	a.must(err)
	request, err := http.NewRequestWithContext(a.Context(), method, a.url+path, bytes.NewReader(encoded))
	a.must(err)
	request.Header.Set("Authorization", "Bearer "+a.token)
	response, err := http.DefaultClient.Do(request)
	a.must(err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	a.must(err)
	return response.StatusCode, string(answer)
}

func (a argoServer) get(path string, into any) {
	a.Helper()
	a.send(http.MethodGet, path, nil, into)
}

func (a argoServer) send(method, path string, body, into any) {
	a.Helper()
	code, text := a.request(method, path, body)
	if code != http.StatusOK {
		a.Fatalf("%s %s: %d %s", method, path, code, text)
	}
	a.must(json.Unmarshal([]byte(text), into))
}
