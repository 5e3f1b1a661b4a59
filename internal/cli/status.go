package cli

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"
	kubeduration "k8s.io/apimachinery/pkg/util/duration"
)

func statusFlags() []cli.Flag {
	return []cli.Flag{
		text("asg", "", "recycles of these Auto Scaling groups, comma-separated `NAMES`; empty means all"),
		&cli.BoolFlag{Name: "aws", EnvVars: env("aws"), Usage: "ask AWS as well how far each instance is; without it, what the records of the recycles say"},
		text("output", "json", "json or table"),
	}
}

func readStatus(c *cli.Context, o *Options) error {
	o.Groups, o.NoAWS = names(set(c, "asg")), !c.Bool("aws")
	return nil
}

func runStatus(ctx context.Context, i *invocation) (err error) {
	i.standings, err = i.oneNode().Status(ctx, i.Groups, !i.NoAWS)
	return err
}

// statusTable shows recycles to people.
func statusTable(w io.Writer, r Result) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	if len(r.Recycles) > 0 {
		_, _ = fmt.Fprintln(t, "NODE\tINSTANCE\tGROUP\tSTATE\tSINCE\tENDS IN\tBY\tWAITS FOR") // Flush says what went wrong
	}
	for _, s := range r.Recycles {
		row(t, orDash(s.NodeName), s.InstanceID, orDash(s.ASGName), s.State, span(s.Since, time.Now()), span(time.Now(), s.Until), orDash(s.Workflow), orDash(s.WaitsFor))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, warning := range r.Warnings {
		_, _ = fmt.Fprintln(w, printable("warning: "+warning))
	}
	_, err := fmt.Fprintln(w, printable(r.Message))
	return err
}

// span is how long it is from one time to another, as kubectl says it, or - where one is not known.
func span(from, to time.Time) string {
	if from.IsZero() || to.IsZero() {
		return "-"
	}
	return kubeduration.HumanDuration(max(to.Sub(from), 0))
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
