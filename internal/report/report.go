// Package report is what one run of a step has to tell: what it is about, what it changed, and how it ended. It knows no JSON
// and no terminal; internal/cli prints it.
package report

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
)

// Report grows while a step runs. What a step does not know stays empty.
type Report struct {
	Log                                  *slog.Logger
	Answered                             bool   // AWS and the cluster have answered: credentials were good
	Begun                                bool   // something is claimed, or all is read: what is refused from here on was allowed
	Message                              string // how it ended, in one line
	Reason                               string // why it failed, where another step reacts to it
	InstanceID, NodeName, ASGName        string
	Region                               string
	ReplacementInstance, ReplacementNode string
	PodsWaiting                          *int
	Pods                                 []string // waited for
	Changes                              []string // made, or with --dry-run: that would be made
	Warnings                             []string
}

// Skipped is the reason of a recycle that people asked to leave out before it began.
const Skipped = "Skipped"

// Done sets the message. It returns nil, so that a step can end with it.
func (r *Report) Done(format string, args ...any) error {
	r.Message = fmt.Sprintf(format, args...)
	return nil
}

// Change adds a change, once.
func (r *Report) Change(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(r.Changes, text) {
		r.Changes = append(r.Changes, text)
	}
}

// Warn logs a warning and adds it, once: a step that starts anew within an attempt meets the same things again.
func (r *Report) Warn(ctx context.Context, text string) {
	if slices.Contains(r.Warnings, text) {
		return
	}
	r.Log.WarnContext(ctx, "warning", "text", text)
	r.Warnings = append(r.Warnings, text)
}

// Waiting says which pods are waited for, as namespace/name.
func (r *Report) Waiting(pods []string) {
	n := len(pods)
	r.PodsWaiting, r.Pods = &n, pods
}
