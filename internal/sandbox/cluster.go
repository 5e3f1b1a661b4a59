package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/eks-recycle/eks-recycle/internal/hint"
)

func (l layout) clusterFile() string { return l.run("cluster.json") }

func readCluster(l layout) (*Cluster, error) {
	content, err := os.ReadFile(l.clusterFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, hint.Errorf("start it with: make sandbox-up", "finding the sandbox: none is up in %q", l.state)
	}
	if err != nil {
		return nil, fmt.Errorf("finding the sandbox: %w", err)
	}
	c := &Cluster{layout: l}
	if err := json.Unmarshal(content, c); err != nil {
		return nil, fmt.Errorf("reading %q: %w", l.clusterFile(), err)
	}
	return c, nil
}

// write is the last thing that `up` does: a run without this file did not come up.
func (c *Cluster) write() error {
	content, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("recording the sandbox: %w", err)
	}
	if err := os.WriteFile(c.layout.clusterFile(), append(content, '\n'), 0o644); err != nil {
		return fmt.Errorf("recording the sandbox: %w", err)
	}
	return nil
}

// Env are the variables, as NAME=value, with which kubectl, argo, AWS tools and the step use this sandbox. The path
// given is the caller's PATH.
func (c *Cluster) Env(path string) []string {
	return []string{
		"KUBECONFIG=" + c.Kubeconfig,
		// What kubectl remembers of this cluster goes with it.
		"KUBECACHEDIR=" + c.layout.run("kube-cache"),
		"ARGO_NAMESPACE=" + c.Namespace,
		"AWS_ENDPOINT_URL=" + c.AWSEndpoint,
		"AWS_REGION=" + c.Region,
		"AWS_ACCESS_KEY_ID=" + accessKey,
		"AWS_SECRET_ACCESS_KEY=" + secretKey,
		"AWS_EC2_METADATA_DISABLED=true",
		"PATH=" + strings.TrimSuffix(filepath.Dir(c.Kubectl)+":"+path, ":"),
	}
}

func (s sandbox) newCluster() *Cluster {
	l := s.layout
	return &Cluster{
		layout: l, Kubeconfig: l.kubeconfig("admin"), AWSEndpoint: awsURL(), AWSEndpointInPods: awsURL(),
		Region: region, ClusterName: clusterName, Group: groupName, Namespace: recycleNamespace,
		Kubectl: l.program("kubectl"), Argo: l.program("argo"), Step: l.own("step"), Logs: l.logs(), AuditLog: l.auditLog(),
	}
}
