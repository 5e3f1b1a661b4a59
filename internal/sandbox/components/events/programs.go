//go:build programs

// Package events pins Argo Events, whose one program is its controller, its event sources and its sensors. It has a module
// of its own because it links other versions of what the cluster's programs link.
package events

import _ "github.com/argoproj/argo-events/cmd"
