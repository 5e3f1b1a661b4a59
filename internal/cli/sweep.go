package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/eks-recycle/eks-recycle/internal/dispatch"
)

func sweepFlags() []cli.Flag {
	return []cli.Flag{text("lifecycle-hook", "", "`NAME` of the lifecycle hook whose lost events are looked for; empty means none")}
}

func readSweep(c *cli.Context, o *Options) error {
	if o.Hook = set(c, "lifecycle-hook"); o.Hook != "" && !matches(hookForm, o.Hook) {
		return fmt.Errorf("--lifecycle-hook %q is malformed", o.Hook)
	}
	return nil
}

// runSweep settles what is left, and starts what lost events should have. Neither holds up the other.
func runSweep(ctx context.Context, i *invocation) (err error) {
	i.remaining, err = i.oneNode().Sweep(ctx)
	message := i.report.Message
	lost, lostErr := i.dispatcher(dispatch.Request{Hook: i.Hook}).Recover(ctx)
	if len(lost) > 0 && message != "" {
		i.report.Message = fmt.Sprintf("%s; %d lost event(s) made good", message, len(lost))
	}
	return errors.Join(err, lostErr)
}
