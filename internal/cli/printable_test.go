package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"k8s.io/apimachinery/pkg/runtime"
	ktesting "k8s.io/client-go/testing"

	"github.com/eks-recycle/eks-recycle/internal/cli"
	"github.com/eks-recycle/eks-recycle/internal/fleet"
	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// escapes clear the screen and set a terminal's title, begin a control sequence in one rune, and turn the direction of text.
const escapes = "\x1b[2J\x1b]0;owned\a \u009b31m \u202e"

// controls are the runes of a text that a terminal might obey.
func controls(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
}

// What others write comes to a terminal as it can be read, and never as something that the terminal does.
func TestNothingOfOthersReachesATerminalRaw(t *testing.T) {
	for name, args := range map[string][]string{
		"a table of nodes":         {"select", "--output", "table"},
		"a selection as JSON":      {"select"},
		"a fleet's plan":           {"fleet", "--output", "table", "--dry-run"},
		"an error and its hint":    {"drain", "--instance-id", "i-0123456789abcdef0" + escapes},
		"an unknown flag":          {"drain", "--" + escapes},
		"an unknown subcommand":    {escapes},
		"a message of the cluster": {"drain", "--node", "n"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				evil := "g\u009b31m\u202e" // XML, and so AWS, has no escape
				_, err := w.groups.CreateAutoScalingGroup(w.Context(), &autoscaling.CreateAutoScalingGroupInput{
					AutoScalingGroupName: &evil, MinSize: aws.Int32(0), MaxSize: aws.Int32(1), DesiredCapacity: aws.Int32(1),
					AvailabilityZones: []string{w.region + "a"}, LaunchTemplate: w.group().LaunchTemplate, Tags: nil,
				})
				if err != nil {
					w.Fatal(err)
				}
				if args[0] == "select" || args[0] == "fleet" {
					args = append(args, "--asg", evil)
					time.Sleep(3 * time.Minute)
				}
				if name == "a message of the cluster" {
					w.kube.PrependReactor("get", "nodes", func(ktesting.Action) (bool, runtime.Object, error) { return true, nil, errors.New(escapes) })
				}
				var out, log bytes.Buffer
				cli.Run(w.Context(), append([]string{"step"}, append(args, "--log-format", "text")...), w.streams(args[0], &out, &log))
				if found := controls(out.String() + log.String()); found != "" {
					w.Errorf("it prints %q\n%q\n%q", found, out.String(), log.String())
				}
				if line := strings.TrimSpace(out.String()); strings.HasPrefix(line, "{") && !json.Valid([]byte(line)) {
					w.Errorf("it is no JSON: %s", line)
				}
				if args[0] == "select" && !strings.Contains(out.String(), `g\u009b31m\u202e`) || out.Len()+log.Len() == 0 {
					w.Errorf("it prints %q", out.String())
				}
			})
		})
	}
}

// hostile does also what is allowed to stand in a line, and begins one as the program does.
const hostile = "größe " + escapes + "\x7f\t\U000e0001\nstep: hint: paste this"

// shown is what a terminal gets of it.
const shown = `größe \u001b[2J\u001b]0;owned\u0007 \u009b31m \u202e\u007f\u0009\udb40\udc01\u000astep: hint: paste this`

func TestLogsErrorsAndHintsAreLinesOfTheProgram(t *testing.T) {
	for format, want := range map[string][]string{
		"text": {"level=INFO", "level=INFO", "step: error: größe ", "step: error: step: hint: paste this", "step: error: second", "step: hint: " + shown},
		"json": {"{", "{", "{"},
	} {
		t.Run(format, func(t *testing.T) {
			var out, log bytes.Buffer
			dir := t.TempDir()
			streams := cli.Streams{Out: &out, Err: &log, Connect: func(_ context.Context, o cli.Options) (*cli.Clients, error) {
				o.Log.Info("a message", "value", hostile)
				o.Log.Info("a word", "value", "\x7f")
				return nil, hint.Wrap(errors.Join(errors.New(hostile), errors.New("second")), hostile)
			}}
			if code := cli.Run(t.Context(), []string{"step", "select", "--asg", "g", "--log-format", format, "--output-dir", dir}, streams); code != 1 {
				t.Errorf("exit %d", code)
			}
			lines := strings.Split(strings.TrimSuffix(log.String(), "\n"), "\n")
			if found := controls(log.String() + out.String()); found != "" || len(lines) != len(want) {
				t.Fatalf("%d lines, want %d, with %q:\n%s%s", len(lines), len(want), found, log.String(), out.String())
			}
			for i, line := range lines {
				if !strings.Contains(line, want[i]) {
					t.Errorf("line %d is %s, want %s", i, line, want[i])
				}
				if format == "json" && !json.Valid([]byte(line)) {
					t.Errorf("line %d is no JSON: %s", i, line)
				}
			}
			var result cli.Result
			if err := json.Unmarshal(out.Bytes(), &result); err != nil || result.Hint != hostile {
				t.Errorf("hint %q, %v", result.Hint, err)
			}
			message, err := os.ReadFile(filepath.Join(dir, "message"))
			if err != nil || string(message) != shown+`\u000asecond` {
				t.Errorf("output parameter: %s, %v", message, err)
			}
		})
	}
}

func TestACellOfATableIsInOneLine(t *testing.T) {
	nodes := []fleet.Candidate{{InstanceID: hostile, NodeName: hostile, ASGName: hostile, Zone: hostile, Reasons: []string{hostile, hostile}}}
	summary := &fleet.Summary{Nodes: []fleet.NodeOutcome{{InstanceID: hostile, NodeName: hostile, ASGName: hostile, Outcome: hostile, Duration: hostile, Reason: hostile}}}
	var selected, recycled bytes.Buffer
	if err := errors.Join(cli.Table(&selected, nodes), cli.SummaryTable(&recycled, summary)); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{selected.String(), recycled.String()} {
		if found := controls(text); found != "" || strings.Count(text, shown) != 6 || strings.Contains(text, "\nstep:") {
			t.Errorf("%q in\n%s", found, text)
		}
	}
}
