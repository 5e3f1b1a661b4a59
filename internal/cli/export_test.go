package cli

import (
	"context"
	"io"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/urfave/cli/v2"
)

// ParseOptions reads a step's command line once. Tests that run a step tens of thousands of times cannot afford to do it
// each time: it takes as long as the step.
func ParseOptions(args []string) (o Options, err error) {
	app := &cli.App{Name: "step", Writer: io.Discard, ErrWriter: io.Discard, ExitErrHandler: func(*cli.Context, error) {}}
	for _, s := range steps() {
		app.Commands = append(app.Commands, &cli.Command{Name: s.name, Flags: s.flags, Action: func(c *cli.Context) (err error) {
			o, err = parse(c, s)
			return err
		}})
	}
	err = app.Run(args)
	return o, err
}

var stepsOnce = sync.OnceValue(steps)

// RunStep is Run for options that are parsed.
func RunStep(ctx context.Context, name string, o Options, streams Streams) int {
	for _, s := range stepsOnce() {
		if s.name == name {
			return exitCode(s.runOnce(ctx, o, nil, streams))
		}
	}
	panic("there is no step " + name)
}

// PlainBodies is what the SDK's requests go through.
func PlainBodies(next aws.HTTPClient) aws.HTTPClient { return plainBodies{next} }

// SDKLog is where the SDK logs.
var SDKLog = sdkLog

// ParseLength and ShortLength read and write durations.
var (
	ParseLength = parseLength
	ShortLength = shortLength
)

// Table and SummaryTable are what people see of a selection and of a fleet.
var (
	Table        = table
	SummaryTable = summaryTable
)
