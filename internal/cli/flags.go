package cli

import (
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
)

func join(lists ...[]cli.Flag) []cli.Flag { return slices.Concat(lists...) }

// recycleFlags are those of a step of a recycle. It takes those of all steps, so that one set of parameters fits every step of
// a workflow, and its help shows the ones that it uses.
func recycleFlags(used ...string) []cli.Flag {
	return join(showing(nodeFlags(), append(used, "instance-id", "node")...), sharedFlags())
}

// showing keeps all but some flags out of the help.
func showing(flags []cli.Flag, used ...string) []cli.Flag {
	for _, f := range flags {
		if !slices.Contains(used, f.Names()[0]) {
			hidden(f)
		}
	}
	return flags
}

// hidden keeps a flag out of the help.
func hidden(f cli.Flag) cli.Flag {
	switch f := f.(type) {
	case *cli.StringFlag:
		f.Hidden = true
	case *cli.BoolFlag:
		f.Hidden = true
	case lengthFlag:
		f.Hidden = true
	}
	return f
}

// nodeFlags say which node is recycled and how. All steps of a recycle have them, so that one set of parameters and
// environment variables fits every step of a workflow.
func nodeFlags() []cli.Flag {
	return append([]cli.Flag{
		text("instance-id", "", "EC2 `ID` of the instance to recycle, or …"),
		text("node", "", "… `NAME` of its Node; exactly one of the two"),
		text("workflow-status", "", "settle only: how the workflow ended: Succeeded, Failed or Error"),
		text("fleet", "", "`NAME` of the fleet that asked for this recycle: a Node that people want it to skip is then left alone"),
	}, mannerFlags()...)
}

// mannerFlags say in what manner nodes are recycled.
func mannerFlags() []cli.Flag {
	return append(podFlags(),
		text("action", "stop", "what becomes of the instance: stop or terminate"),
		length("replacement-timeout", 30*time.Minute, "how long to wait in all for a replacement in service before going back"),
		length("max-wait", 48*time.Hour, "how long to wait in all for the pods to finish, over attempts and re-submits"),
		text("on-timeout", "fail", "what to do after max-wait: fail or evict"),
		&cli.BoolFlag{Name: "evict", Value: true, EnvVars: env("evict"), Usage: "evict what is left once the pods that matter have finished"},
		length("evict-timeout", time.Hour, "how long to go on evicting while no pod goes, over attempts; then the recycle fails"),
		text("window", "", "maintenance `WINDOW`, such as \"Mon-Fri 22:00-05:00 Europe/Berlin\": outside of it nothing is evicted, detached or shut down; empty means any time"),
		text("progress-file", "", "`FILE` for N/M progress", "ARGO_PROGRESS_FILE"),
	)
}

// podFlags say which pods matter.
func podFlags() []cli.Flag {
	return []cli.Flag{
		text("label-selector", "", "label `SELECTOR` of the pods that must finish by themselves; empty means every run-to-completion pod"),
		&cli.BoolFlag{Name: "do-not-disrupt", Value: true, EnvVars: env("do-not-disrupt"), Usage: "without a selector: wait also for pods annotated karpenter.sh/do-not-disrupt or safe-to-evict=false"},
		text("namespace", "", "comma-separated `NAMESPACES` of those pods; empty means all"),
	}
}

// sharedFlags are those of every step that asks AWS or a cluster for anything. Those that nobody needs to set but templates and
// tests are hidden.
func sharedFlags() []cli.Flag {
	return append([]cli.Flag{
		text("cluster", "", "`NAME` of the EKS cluster; empty means the kubeconfig's, or the one this runs in"),
		text("region", "", "AWS `REGION`; empty means the AWS SDK's default chain"),
		hidden(length("poll-window", 20*time.Minute, "how long one attempt waits before it exits 75")),
		hidden(text("attempt", "0", "how many attempts of this step there were before; later ones wait longer")),
		length("poll-interval", 30*time.Second, "longest pause between two polls of AWS; the first is 1s, and each twice the one before"),
		&cli.BoolFlag{Name: "dry-run", EnvVars: env("dry-run"), Usage: "read everything, change nothing, say what would change"},
		text("workflow-uid", "", "holder of the claim on the instance; empty means this user and host"),
		text("workflow-name", "", "who recycles, for people, as `NAMESPACE/NAME`"),
		text("lease-namespace", "eks-recycle", "`NAMESPACE` of the claims; the same for everyone who may recycle nodes of the cluster"),
		hidden(length("claim-duration", 5*time.Minute, "how long a claim outlives a step that died")),
		text("node-names", "ec2", "ec2: a Node is called what EC2 calls its instance; any: this cluster's nodes have names of their own. A setting of the installation"),
		hidden(text("notify-url", "", "`URL` that gets a message when a recycle starts, is blocked, is parked, is undone or is done: a setting of the installation, and a secret")),
		hidden(text("notify-format", "", "generic, slack or teams")),
		text("kubeconfig", "", "kubeconfig `FILE`; empty means KUBECONFIG, ~/.kube/config, or the cluster this runs in"),
		text("context", "", "kubeconfig `CONTEXT`"),
	}, everyFlags()...)
}

// onlyAWSFlags are sharedFlags for a step that asks no cluster: the help leaves out what says how to.
func onlyAWSFlags() []cli.Flag {
	return showing(sharedFlags(), "cluster", "region", "poll-interval", "dry-run", "output-dir", "log-format", "log-level")
}

// everyFlags are those of every step.
func everyFlags() []cli.Flag {
	return []cli.Flag{
		text("output-dir", "", "`DIRECTORY` for the output parameters, one file each; empty means none"),
		text("log-format", "", "text or json; empty means text on a terminal and json elsewhere"),
		text("log-level", "info", "debug, info, warn or error"),
	}
}

func text(name, value, usage string, more ...string) cli.Flag {
	return &cli.StringFlag{Name: name, Value: value, Usage: usage, EnvVars: append(env(name), more...)}
}

func env(name string) []string {
	return []string{"EKS_RECYCLE_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))}
}
