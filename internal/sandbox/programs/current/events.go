//go:build programs

package current

import (
	_ "github.com/argoproj/argo-events/cmd"
	_ "github.com/nats-io/nats-server/v2"
)
