package sandbox

import (
	"fmt"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/proc"
)

// nats is one server with JetStream in the place of the three that Argo Events would run for its bus: their image, and
// two more of their companions, come from a registry. Argo Events' clients insist on TLS and take any certificate.
func nats(l layout) component {
	config := l.run("nats.conf")
	return component{
		Process: proc.Process{Name: "nats", Path: l.program("nats-server"), Args: []string{"--config=" + config}},
		files:   map[string]string{config: natsConfig(l)},
		ready:   httpReady(natsMonitor("healthz"), plainHTTP()),
	}
}

func natsConfig(l layout) string {
	return fmt.Sprintf(`server_name: sandbox
listen: %q
http: %q
tls {
  cert_file: %q
  key_file: %q
}
jetstream {
  store_dir: %q
  max_memory_store: 64M
  max_file_store: 256M
}
`, hostPort(address, portNATS), hostPort(loopback, portNATSMonitor), l.certificate("nats"), l.key("nats"), l.run("nats"))
}

// natsMonitor is a page of the server's monitoring: https://docs.nats.io/running-a-nats-service/nats_admin/monitoring
func natsMonitor(page string) string {
	return "http://" + hostPort(loopback, portNATSMonitor) + "/" + page
}
