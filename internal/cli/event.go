package cli

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/eks-recycle/eks-recycle/internal/dispatch"
	"github.com/eks-recycle/eks-recycle/internal/event"
	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// EventOptions are an event, and what the installation says of events.
type EventOptions struct {
	event.Receiver
	Body    []byte
	Webhook bool
	Offline bool // say what it would start, and ask nobody whether it is true
}

func eventFlags() []cli.Flag {
	return []cli.Flag{
		text("body", "", "the event's body in `BASE64`, or …"),
		text("file", "-", "… `FILE` with the body itself; - means stdin"),
		text("source", "queue", "where it came from: queue or webhook"),
		text("account", "", "AWS account `ID` that the event has to be of; empty means any"),
		text("lifecycle-hook", "", "`NAME` of the lifecycle hook that is answered; empty means any"),
		length("alarm-cool-down", time.Hour, "how long after one alarm no other one starts a recycle in the same group"),
		text("webhook-parameters", "", "comma-separated `NAMES` of parameters that a request may set besides instance-id, node and dry-run"),
		&cli.BoolFlag{Name: "offline", EnvVars: env("offline"), Usage: "say what it would start, ask neither AWS nor a cluster, start nothing"},
		text("output", "json", "json, or workflow: with --offline, the Workflows for kubectl create -f -"),
	}
}

const accountForm = `^[0-9]{12}$`

func readEvent(c *cli.Context, o *Options) (err error) {
	e := EventOptions{
		Receiver: event.Receiver{Account: set(c, "account"), Region: o.Region, Hook: set(c, "lifecycle-hook"), AlarmCoolDown: duration(c, "alarm-cool-down").String()},
		Webhook:  c.String("source") == "webhook", Offline: c.Bool("offline") || o.Output == "workflow",
	}
	if names := set(c, "webhook-parameters"); names != "" {
		e.Parameters = strings.FieldsFunc(names, func(r rune) bool { return r == ',' || r == ' ' })
	}
	o.Offline = e.Offline
	switch {
	case e.Account != "" && !matches(accountForm, e.Account):
		return hint.Errorf("aws sts get-caller-identity --query Account", "--account %q is no AWS account of 12 digits", e.Account)
	case e.Hook != "" && !matches(hookForm, e.Hook):
		return fmt.Errorf("--lifecycle-hook %q is malformed", e.Hook)
	}
	for _, name := range e.Parameters {
		if !slices.Contains(event.RequestParameters(), name) {
			return fmt.Errorf("--webhook-parameters: %q is none of %s", name, strings.Join(event.RequestParameters(), ", "))
		}
	}
	if e.Body, err = readBody(c); err == nil {
		o.Event = e
	}
	return err
}

// readBody reads a little more than a body may have, so that a longer one is seen to be too long.
func readBody(c *cli.Context) ([]byte, error) {
	if encoded := c.String("body"); encoded != "" {
		body, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return nil, fmt.Errorf("--body is no base64: %w", err)
		}
		return body, nil
	}
	in, name := c.App.Reader, c.String("file")
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("reading the event: %w", err)
		}
		defer func() { _ = file.Close() }() // it was only read
		in = file
	}
	body, err := io.ReadAll(io.LimitReader(in, event.MaxBody+1))
	if err != nil {
		return nil, fmt.Errorf("reading the event: %w", err)
	}
	return body, nil
}

// runEvent starts what an event starts. One that starts nothing is no failure: most are somebody else's.
func runEvent(ctx context.Context, i *invocation) error {
	decide := i.Event.Decide
	if i.Event.Webhook {
		decide = func(body []byte) ([]event.Decision, error) { return i.Event.DecideRequest(body, i.WorkflowUID) }
	}
	all, err := decide(i.Event.Body)
	var dropped *event.DroppedError
	if errors.As(err, &dropped) {
		if i.Output == "workflow" { // stdout has no place for it
			i.log.WarnContext(ctx, "nothing is started", "because", dropped.Reason)
		}
		return i.report.Done("nothing is started: %s", dropped.Reason)
	}
	if err != nil {
		return err
	}
	i.starts = all
	if i.Offline {
		names := make([]string, 0, len(all))
		for _, d := range all {
			names = append(names, fmt.Sprintf("workflow %s from the template %s", d.Name, d.Template))
		}
		return i.report.Done("starts %s, if AWS confirms it", strings.Join(names, ", "))
	}
	d := i.dispatcher(dispatch.Request{Decisions: all})
	err = d.Dispatch(ctx)
	i.started = d.Started()
	return err
}
