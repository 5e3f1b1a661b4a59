package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	wfv1 "github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
)

// The plugin, as kubectl runs it, of somebody who has the Role of the installation page, may view the pods of one namespace, and has
// no AWS credentials: a recycle is started, seen, stopped, and its node restored.
func TestKubectlRecycle(t *testing.T) {
	t.Parallel()
	s := given(t, "kubectl")
	s.batch(s.ids[0], "long", endless)
	k := s.person()
	node := s.nodes[s.ids[0]]

	submitted := func(line, template string) recycle {
		t.Helper()
		name, ok := strings.CutSuffix(strings.TrimPrefix(k.run(line), "workflow.argoproj.io/"), " created\n")
		if !ok || !strings.HasPrefix(name, template+"-") {
			t.Fatalf("kubectl recycle %s: %s", line, name)
		}
		return recycle{s, name}
	}
	r := submitted("start "+node+" -p label-selector=app=batch -p namespace="+s.namespace, "recycle-node")
	r.running("drain")
	s.await(time.Minute, "what the status shows", func(ctx) (bool, string, error) {
		row := k.row("status --asg "+s.group, node)
		return strings.Contains(row, "draining") && strings.Contains(row, "eks-recycle/"+r.name) && strings.Contains(row, "1 pod(s): "+s.namespace+"/long"), row, nil
	})
	if out := k.run("status --asg " + s.group); strings.Contains(out, "warning: ") {
		t.Errorf("the status warns:\n%s", out)
	}
	if out, err := k.command("start " + node); err == nil || !strings.Contains(out, "is being recycled already, by eks-recycle/"+r.name) {
		t.Errorf("started twice: %v %s", err, out)
	}
	if out := k.run("stop " + node); out != "workflow.argoproj.io/"+r.name+" stopped\n" {
		t.Errorf("stop says %s", out)
	}
	r.ends(wfv1.WorkflowFailed)
	if row := k.row("status", node); !strings.Contains(row, "parked") {
		t.Errorf("after the stop: %s", row)
	}
	back := submitted("restore "+node, "recycle-restore")
	back.ends(wfv1.WorkflowSucceeded)
	back.says("restore", "is back in service")
	if row := k.row("status", node); row != "" {
		t.Errorf("after the restore: %s", row)
	}
	s.clean()
}

// person is somebody with a kubeconfig of their own.
type person struct {
	*scenario
	env []string
}

func (s *scenario) person() person {
	s.Helper()
	token := s.submitter()
	if out, err := s.command(s.Context(), s.cluster.Kubectl, "create", "rolebinding", "-n", s.namespace, "viewer", "--clusterrole=view", "--serviceaccount="+s.namespace+":submitter"); err != nil {
		s.Fatalf("%v\n%s", err, out)
	}
	dir := s.TempDir()
	s.must(os.Symlink(s.cluster.Step, filepath.Join(dir, "kubectl-recycle")))
	text, err := os.ReadFile(s.cluster.Kubeconfig)
	s.must(err)
	kubeconfig := filepath.Join(dir, "kubeconfig")
	s.must(os.WriteFile(kubeconfig, text, 0o600))
	p := person{s, []string{"PATH=" + dir + ":/usr/bin:/bin", "KUBECONFIG=" + kubeconfig, "HOME=" + dir}}
	for _, args := range [][]string{{"config", "set-credentials", "person", "--token=" + token}, {"config", "set-context", "--current", "--user=person"}} {
		if out, err := p.kubectl(args...); err != nil {
			s.Fatalf("kubectl %v: %v\n%s", args[0], err, out)
		}
	}
	if out, err := p.kubectl("auth", "whoami"); err != nil || !strings.Contains(out, "submitter") {
		s.Fatalf("%v\n%s", err, out)
	}
	return p
}

func (p person) kubectl(args ...string) (string, error) {
	c := exec.CommandContext(p.Context(), p.cluster.Kubectl, args...)
	c.Env = p.env
	out, err := c.CombinedOutput()
	return string(out), err
}

// command runs "kubectl recycle" with arguments.
func (p person) command(line string) (string, error) {
	return p.kubectl(append([]string{"recycle"}, strings.Fields(line)...)...)
}

func (p person) run(line string) string {
	p.Helper()
	out, err := p.command(line)
	if err != nil {
		p.Fatalf("kubectl recycle %s: %v\n%s", line, err, out)
	}
	return out
}

// row is the line of a table about a node, or "".
func (p person) row(line, node string) string {
	p.Helper()
	for row := range strings.SplitSeq(p.run(line), "\n") {
		if strings.HasPrefix(row, node+" ") {
			return row
		}
	}
	return ""
}
