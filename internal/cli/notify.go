package cli

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/eks-recycle/eks-recycle/internal/notify"
)

// told are the reasons of Events that people are notified of.
var told = []string{"RecycleStarted", "RecycleBlocked", "RecycleStopped", "RecycleUndone", "RecycleDone"}

// tell notifies of an Event, if it is one to notify of.
func (i *invocation) tell(ctx context.Context, node, kind, reason, message string) {
	if slices.Contains(told, reason) {
		i.notify(ctx, notify.Message{Reason: reason, Text: message, Node: node, Warning: kind == corev1.EventTypeWarning})
	}
}

// notify tells the receiver of this installation, if it has one. A receiver that cannot be one is logged: no recycle fails because
// of it.
func (i *invocation) notify(ctx context.Context, m notify.Message) {
	receiver, err := notify.New(i.NotifyURL, i.NotifyFormat, i.log)
	if err != nil {
		i.log.WarnContext(ctx, "nobody is notified", "err", err)
		return
	}
	receiver.HTTP = i.http
	m.Workflow, m.Cluster = i.Workflow, i.Cluster
	receiver.Send(ctx, m)
}
