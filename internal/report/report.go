// Package report is what one run of a step has to tell: what it is about, what it changed, and how it ended. It knows no
// terminal; internal/cli prints it.
package report

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// Report grows while a step runs. What a step does not know stays empty.
type Report struct {
	Log                 *slog.Logger `json:"-"`
	Answered            bool         `json:"-"`       // AWS and the cluster have answered: credentials were good
	Begun               bool         `json:"-"`       // something is claimed, or all is read: what is refused from here on was allowed
	Message             string       `json:"message"` // how it ended, in one line
	InstanceID          string       `json:"instanceId,omitempty"`
	NodeName            string       `json:"nodeName,omitempty"`
	ASGName             string       `json:"asgName,omitempty"`
	Region              string       `json:"region,omitempty"`
	ReplacementInstance string       `json:"replacementInstanceId,omitempty"`
	ReplacementNode     string       `json:"replacementNode,omitempty"`
	PodsWaiting         *int         `json:"podsWaiting,omitempty"`
	Pods                []string     `json:"pods,omitempty"`    // waited for
	Changes             []string     `json:"changes,omitempty"` // made, or with --dry-run: that would be made
	Warnings            []string     `json:"warnings,omitempty"`
	NothingStarted      bool         `json:"-"`                // what asked for a recycle got none
	InProgress          []time.Time  `json:"-"`                // of the recycles that somebody works on, when each began, as far as is known
	Reason              string       `json:"reason,omitempty"` // why it failed, where another step reacts to it
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
