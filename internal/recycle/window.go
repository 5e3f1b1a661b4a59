package recycle

import (
	"context"
	"errors"
	"time"
)

// errClosed ends what the maintenance window has closed on.
var errClosed = errors.New("the maintenance window has closed")

// closed reports that nothing disruptive may begin now.
func (r *Recycle) closed() bool { return !r.Maintenance.Open(time.Now()) }

// awaitWindow waits until the maintenance window opens. The claim is held meanwhile, and what was known of the world is old then.
func (r *Recycle) awaitWindow(ctx context.Context) error {
	return r.wait.Until(ctx, func(context.Context) (bool, string, error) {
		status := r.Maintenance.Closed(time.Now())
		return status == "", status, nil
	})
}

// warnClosed says in a dry run that the step would wait.
func (r *Recycle) warnClosed(ctx context.Context) {
	if text := r.Maintenance.Closed(time.Now()); text != "" {
		r.report.Warn(ctx, text)
	}
}
