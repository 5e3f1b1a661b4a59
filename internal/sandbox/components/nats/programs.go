//go:build programs

// Package nats pins the NATS server, of which Argo Events' bus is made. It has a module of its own because Argo Events
// links an older NATS client.
package nats

import _ "github.com/nats-io/nats-server/v2"
