package cli

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/eks-recycle/eks-recycle/internal/event"
	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// EventOptions are an event and whose it has to be.
type EventOptions struct {
	Body    []byte
	Account string // "": of any
	Webhook bool
	Key     string
}

func eventFlags() []cli.Flag {
	return []cli.Flag{
		text("file", "-", "`FILE` with the body of the event; - means stdin"),
		text("account", "", "AWS account `ID` that the event has to be of; empty means any"),
		text("region", "", "AWS `REGION` that it has to be of; empty means any"),
		&cli.BoolFlag{Name: "webhook", EnvVars: env("webhook"), Usage: "the body is that of a request to the webhook"},
		text("idempotency-key", "", "with --webhook: `KEY` in the request's header Idempotency-Key"),
		text("output", "json", "json, or workflow: the Workflow that the event starts, for kubectl create -f -"),
	}
}

const accountForm = `^[0-9]{12}$`

func readEvent(c *cli.Context, o *Options) (err error) {
	o.Event = EventOptions{Account: set(c, "account"), Webhook: c.Bool("webhook"), Key: c.String("idempotency-key")}
	switch {
	case o.Event.Account != "" && !matches(accountForm, o.Event.Account):
		return hint.Errorf("aws sts get-caller-identity --query Account", "--account %q is no AWS account of 12 digits", o.Event.Account)
	case o.Event.Key != "" && !o.Event.Webhook:
		return fmt.Errorf("--idempotency-key goes with --webhook")
	}
	o.Event.Body, err = readBody(c.App.Reader, c.String("file"))
	return err
}

// readBody reads one byte more than a body may have, so that a longer one is seen to be too long.
func readBody(stdin io.Reader, name string) ([]byte, error) {
	in := stdin
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

// runEvent says what an event starts. It starts nothing.
func runEvent(_ context.Context, i *invocation) error {
	var order event.Decision
	var err error
	if i.Event.Webhook {
		order, err = event.Webhook(i.Event.Body, i.Event.Key)
	} else {
		order, err = event.Receiver{Account: i.Event.Account, Region: i.Region}.Decide(i.Event.Body)
	}
	if err != nil {
		return hint.Wrap(err, "a Sensor drops it as well; docs/events.md says which events start what")
	}
	i.event = &order
	return i.report.Done("starts workflow %s from the template %s", order.Name, order.Template)
}
