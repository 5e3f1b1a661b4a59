package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/cli"
)

var errConnected = errors.New("the inputs were accepted")

// ran is what became of one command line. options is nil if it was refused before anything was connected to.
type ran struct {
	code    int
	out     string
	log     string
	options *cli.Options
}

func runWith(t *testing.T, args ...string) ran {
	t.Helper()
	var r ran
	var out, log bytes.Buffer
	streams := cli.Streams{In: strings.NewReader(""), Out: &out, Err: &log, Version: "test", Connect: func(_ context.Context, o cli.Options) (*cli.Clients, error) {
		r.options = &o
		return nil, errConnected
	}}
	r.code = cli.Run(t.Context(), append([]string{"step"}, args...), streams)
	r.out, r.log = out.String(), log.String()
	return r
}

// refusal checks the form of what a command line gets that is refused.
func (r ran) refusal(t *testing.T) {
	t.Helper()
	if r.code != 1 && r.code != 2 {
		t.Errorf("exit %d, want 1 or 2", r.code)
	}
	first, rest, _ := strings.Cut(r.log, "\n")
	if !strings.HasPrefix(first, "step: error: ") || (rest != "" && !strings.HasPrefix(rest, "step: hint: ")) || strings.Count(rest, "\n") > 1 {
		t.Errorf("neither one line of error nor one of hint follows it: %q", r.log)
	}
	if r.out != "" && !json.Valid([]byte(r.out)) && !strings.Contains(r.out, "USAGE:") { // help mistyped shows its own help
		t.Errorf("stdout is not one JSON object: %q", r.out)
	}
}

// only reports whether s consists of the given characters.
func only(s, of string) bool { return strings.Trim(s, of) == "" }

const (
	lower  = "abcdefghijklmnopqrstuvwxyz"
	digits = "0123456789"
)

// checked says, by other means than the program's own, that what goes to AWS and to the API server can be what it is
// said to be.
func checked(t *testing.T, step string, o *cli.Options) {
	t.Helper()
	if named := (o.Recycle.InstanceID != "") != (o.Recycle.Node != ""); named == (step == "sweep" || step == "reap" || step == "event") { // those work on all nodes, or on what an event names
		t.Errorf("instance %q and node %q", o.Recycle.InstanceID, o.Recycle.Node)
	}
	hexadecimal, prefixed := strings.CutPrefix(o.Recycle.InstanceID, "i-")
	if o.Recycle.InstanceID != "" && (!prefixed || !only(hexadecimal, digits+"abcdef") || (len(hexadecimal) != 8 && len(hexadecimal) != 17)) {
		t.Errorf("instance %q", o.Recycle.InstanceID)
	}
	if !only(o.Region, lower+digits+"-") { // it becomes part of a host name
		t.Errorf("region %q", o.Region)
	}
	if !only(o.Cluster, lower+strings.ToUpper(lower)+digits+"-_") || len(o.Cluster) > 100 { // and this of a URL
		t.Errorf("cluster %q", o.Cluster)
	}
	for _, namespace := range o.Recycle.Pods.Namespaces {
		if !only(namespace, lower+digits+"-") || namespace == "" || len(namespace) > 63 {
			t.Errorf("namespace %q", namespace)
		}
	}
	if strings.HasPrefix(o.Recycle.Node, "{{") || strings.Contains(o.Recycle.InstanceID+o.Cluster+o.Region, "{{") {
		t.Errorf("Argo's placeholders were taken for values: %+v", o)
	}
	lengths := []time.Duration{o.Window, o.PollInterval, o.ClaimDuration}
	switch step {
	case "reap":
		lengths = append(lengths, o.Reap.OlderThan-time.Hour+1)
	case "event":
	default:
		lengths = append(lengths, o.Recycle.MaxWait, o.Recycle.ReplacementTimeout)
	}
	for _, d := range lengths {
		if d <= 0 {
			t.Errorf("a duration of %s", d)
		}
	}
	if o.Recycle.EvictOnTimeout && o.Recycle.KeepPods {
		t.Error("on-timeout=evict with evict=false")
	}
}

// Whatever a workflow's parameters are: they are refused in one line, or can be what they are said to be.
func FuzzParameters(f *testing.F) {
	id := "i-0123456789abcdef0"
	for _, seed := range [][8]string{
		{id, "", "", "", "", "", "20m", "stop"},
		{"", "ip-10-0-1-2.eu-central-1.compute.internal", "app=batch,!x", "team-a, team-b", "prod", "eu-central-1", "48h", "terminate"},
		{"{{inputs.parameters.instance-id}}", "n", "", "", "{{workflow.parameters.cluster}}", "{{x}}", "1ns", "stop"},
		// From here on one thing is wrong in each.
		{"{{x}}", "", "", "", "", "", "1s", "stop"},
		{"", " {{x}}", "", "", "", "", "1s", "stop"},
		{id, "n", "", "", "", "", "1s", "stop"},
		{id + "\nx", "", "", "", "", "", "1s", "stop"},
		{"", "n", "{{x}}", "", "", "", "1s", "stop"},
		{"", "n", "a in (\n", "", "", "", "1s", "stop"},
		{"", "n", "a=\x00", "", "", "", "1s", "stop"},
		{"", "n", "", "a\nb", "", "", "1s", "stop"},
		{"", "n", "", strings.Repeat("a", 64), "", "", "1s", "stop"},
		{"", "n", "", "", "arn:aws:eks:eu-central-1:111122223333:cluster/prod", "", "1s", "stop"},
		{"", "n", "", "", "../clusters", "", "1s", "stop"},
		{"", "n", "", "", "a\nb", "", "1s", "stop"},
		{"", "n", "", "", strings.Repeat("a", 101), "", "1s", "stop"},
		{"", "n", "", "", "", "eu-central-1.evil.example", "1s", "stop"},
		{"", "n", "", "", "", "evil.example/eu-central-1", "1s", "stop"},
		{"", "n", "", "", "", "", "0s", "stop"},
		{"", "n", "", "", "", "", "-1s", "stop"},
		{"", "n", "", "", "", "", "9999999h", "stop"},
		{"", "n", "", "", "", "", "1\n", "stop"},
		{"", "n", "", "", "", "", "1s", "reboot\nnow"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3], seed[4], seed[5], seed[6], seed[7])
	}
	f.Fuzz(func(t *testing.T, id, node, selector, namespace, cluster, region, duration, action string) {
		r := runWith(t, "standby", "--log-format", "text", "--workflow-uid", "wf", "--instance-id="+id, "--node="+node,
			"--label-selector="+selector, "--namespace="+namespace, "--cluster="+cluster, "--region="+region,
			"--poll-window="+duration, "--poll-interval="+duration, "--max-wait="+duration, "--action="+action)
		if r.options == nil {
			r.refusal(t)
			return
		}
		checked(t, "standby", r.options)
	})
}

// The same for a command line as a person mistypes it. Arguments are separated by blanks. What names a file or a folder to
// write to is left out: it would be written.
func FuzzCommandLine(f *testing.F) {
	for _, seed := range []string{
		"", "help", "version", "standby", "stanby", "sweep", "sweep --node n", "reap", "reap --older-than 1h --limit 3", "reap --older-than 7d", "reap --limit -1", "reap --node n",
		"event", "event --offline", "event --source webhook --output workflow", "event --body e30=", "event --account 1", "event --output yaml", "event --region x", "event --body %", "event --node n", "drain --help", "drain -h", "help drain", "help nosuch", "help -0", "--version", "-", "--", "---",
		"drain --node n", "drain -node n", "drain --node", "drain --node= n", "drain --node n extra", "drain --node n -- --x", "drain --evict --node n",
		"drain --evict=no --on-timeout evict --node n", "drain --dry-run=1 --node n", "settle --workflow-status {{workflow.status}} --node n",
		"retire --max-wait 1d --node n", "retire --claim-duration 1s --node n", "drain --log-level loud --node n", "drain --node n --log-format json",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if strings.Contains(line, "-dir") || strings.Contains(line, "-file") || strings.ContainsAny(line, "\r\n") {
			return
		}
		args := strings.Split(line, " ")
		r := runWith(t, args...)
		switch {
		case r.options != nil:
			checked(t, args[0], r.options)
		case r.code == 0: // nothing but help and version ends well without a connection
			if r.out+r.log == "" {
				t.Errorf("%q ended well and said nothing", args)
			}
		case strings.HasPrefix(r.log, "{"): // in the form of a pod's log
			if strings.Count(r.log, "\n") != 1 || !json.Valid([]byte(r.log)) || (r.out != "" && !json.Valid([]byte(r.out))) { // there is no manifest of a failure
				t.Errorf("%q: log %q, result %q", args, r.log, r.out)
			}
		default:
			r.refusal(t)
		}
	})
}
