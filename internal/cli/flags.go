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
	return hiding(flags, func(name string) bool { return !slices.Contains(used, name) })
}

func hiding(flags []cli.Flag, hide func(name string) bool) []cli.Flag {
	for _, f := range flags {
		if !hide(f.Names()[0]) {
			continue
		}
		switch f := f.(type) {
		case *cli.StringFlag:
			f.Hidden = true
		case *cli.BoolFlag:
			f.Hidden = true
		case lengthFlag:
			f.Hidden = true
		}
	}
	return flags
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

// sharedFlags are those of every step that asks AWS or a cluster for anything.
func sharedFlags() []cli.Flag {
	return append([]cli.Flag{
		text("cluster", "", "`NAME` of the EKS cluster; empty means the kubeconfig's, or the one this runs in"),
		text("region", "", "AWS `REGION`; empty means the AWS SDK's default chain"),
		constant("poll-window", 20*time.Minute, "how long one attempt waits before it exits 75"),
		hiding([]cli.Flag{text("attempt", "0", "how many attempts of this step there were before; later ones wait longer")}, func(string) bool { return true })[0],
		length("poll-interval", 30*time.Second, "longest pause between two polls of AWS; the first is 1s, and each twice the one before"),
		&cli.BoolFlag{Name: "dry-run", EnvVars: env("dry-run"), Usage: "read everything, change nothing, say what would change"},
		text("workflow-uid", "", "holder of the claim on the instance; empty means this user and host"),
		text("workflow-name", "", "who recycles, for people, as `NAMESPACE/NAME`"),
		text("lease-namespace", "eks-recycle", "`NAMESPACE` of the claims; the same for everyone who may recycle nodes of the cluster"),
		constant("claim-duration", 5*time.Minute, "how long a claim outlives a step that died"),
		text("node-names", "ec2", "ec2: a Node is called what EC2 calls its instance; any: this cluster's nodes have names of their own. A setting of the installation"),
		text("kubeconfig", "", "kubeconfig `FILE`; empty means KUBECONFIG, ~/.kube/config, or the cluster this runs in"),
		text("context", "", "kubeconfig `CONTEXT`"),
	}, everyFlags()...)
}

// onlyAWSFlags are sharedFlags for a step that asks no cluster: the help leaves out what says how to.
func onlyAWSFlags() []cli.Flag {
	ofClusters := []string{"kubeconfig", "context", "lease-namespace", "claim-duration", "node-names", "workflow-uid", "workflow-name"}
	return hiding(sharedFlags(), func(name string) bool { return slices.Contains(ofClusters, name) })
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

// constant is a duration that nobody needs to set but tests.
func constant(name string, value time.Duration, usage string) cli.Flag {
	return hiding([]cli.Flag{length(name, value, usage)}, func(string) bool { return true })[0]
}
