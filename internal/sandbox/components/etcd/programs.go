//go:build programs

// Package etcd pins the etcd server. It has a module of its own because Kubernetes links an older etcd client.
package etcd

import _ "go.etcd.io/etcd/server/v3"
