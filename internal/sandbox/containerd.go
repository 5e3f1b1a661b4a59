package sandbox

import (
	"encoding/json"
	"fmt"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/proc"
)

// runtime is what the machine decides about how containers can be run.
type runtime struct {
	containerd  string
	cniPlugins  string
	snapshotter string
}

func (l layout) containerdSocket() string { return l.short("containerd.sock") }

// containerd runs beside one that the machine may have already: it has folders, a socket and a runc state of its own.
func containerd(l layout, r runtime) component {
	config := l.run("containerd.toml")
	return component{
		Process: proc.Process{Name: "containerd", Path: r.containerd, Args: []string{"--config=" + config}},
		files: map[string]string{
			config:                           containerdConfig(l, r),
			l.run("cni", "10-pods.conflist"): cniConfig(l),
		},
		ready: commandReady("ctr", "--address", l.containerdSocket(), "--timeout=2s", "version"),
	}
}

// containerdConfig keeps network namespaces under the state folder, so that `down` finds all mounts in one place, and
// does not lower the pods' OOM score, which needs a capability that containers and some machines lack.
func containerdConfig(l layout, r runtime) string {
	return fmt.Sprintf(`version = 2
root = %q
state = %q
disabled_plugins = ["io.containerd.internal.v1.opt"]

[grpc]
  address = %q

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = %q
  conf_dir = %q

[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = %q
  default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  Root = %q
`, l.run("containerd"), l.short("containerd"), l.containerdSocket(), pauseImage, r.cniPlugins, l.run("cni"),
		r.snapshotter, l.short("runc"))
}

// cniConfig gives pods a bridge and a route to the sandbox's own address, and to nothing else: no pod reaches beyond
// the machine.
func cniConfig(l layout) string {
	config := map[string]any{
		"cniVersion": "0.4.0",
		"name":       cniNetwork,
		"plugins": []any{map[string]any{
			"type": "bridge", "bridge": bridge, "isGateway": true, "ipMasq": false,
			"ipam": map[string]any{
				"type": "host-local", "dataDir": l.run("pod-addresses"),
				"ranges": []any{[]any{map[string]any{"subnet": podCIDR}}},
				"routes": []any{map[string]any{"dst": address + "/32"}},
			},
		}},
	}
	out, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("rendering JSON: %v", err))
	}
	return string(out) + "\n"
}
