package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/eks-recycle/eks-recycle/internal/argo"
	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/claim"
	"github.com/eks-recycle/eks-recycle/internal/hint"
	"github.com/eks-recycle/eks-recycle/internal/node"
)

// pluginName is the program's name as a plugin of kubectl (https://kubernetes.io/docs/tasks/extend-kubectl/kubectl-plugins/).
const pluginName = "kubectl-recycle"

func isPlugin(args []string) bool {
	return len(args) > 0 && strings.TrimSuffix(filepath.Base(args[0]), ".exe") == pluginName
}

// runPlugin is "kubectl recycle": for people, who need no right on AWS for it. It submits and stops workflows and reads records.
func runPlugin(ctx context.Context, args []string, streams Streams) int {
	var unknown error
	app := &cli.App{
		Name: pluginName, HelpName: "kubectl recycle", Usage: "recycle EKS worker nodes, and see how far that is",
		HideVersion: true, HideHelpCommand: true,
		Reader: streams.In, Writer: streams.Out, ErrWriter: streams.Err,
		ExitErrHandler: func(*cli.Context, error) {}, OnUsageError: badUsage,
		CommandNotFound: func(c *cli.Context, name string) { unknown = unknownCommand(c, name) },
		Action:          listCommands,
	}
	target := " NODE | INSTANCE"
	own := func(name, arguments, usage string, flags []cli.Flag, run func(context.Context, *cli.Context, plugin) error) *cli.Command {
		return &cli.Command{
			Name: name, Usage: usage, UsageText: "kubectl recycle " + name + arguments + " [options]",
			Flags: join(flags, pluginFlags()), HideHelpCommand: true, OnUsageError: badUsage,
			Action: func(c *cli.Context) error { return withPlugin(c, streams, run) },
		}
	}
	app.Commands = []*cli.Command{
		statusOfPlugin(streams),
		own("start", target, "submit the recycle of a node", submitFlags("recycle-node"), startRecycle),
		own("stop", target, "stop the workflow that recycles a node, which undoes or parks what it began", nil, stopRecycle),
		own("restore", target, "submit what brings a node on standby back into service", submitFlags("recycle-restore"), restoreNode),
		versionCommand(streams),
	}
	err := errors.Join(app.RunContext(ctx, flagsFirst(args, app.Commands)), unknown)
	if err != nil {
		printError(streams.Err, "", err)
	}
	return exitCode(err)
}

// statusOfPlugin is the step status with what people of kubectl expect: a table, and -n and -o.
func statusOfPlugin(streams Streams) *cli.Command {
	all := steps()
	s := all[slices.IndexFunc(all, func(s step) bool { return s.name == "status" })]
	for _, f := range s.flags {
		if b, ok := f.(*cli.BoolFlag); ok {
			b.EnvVars = nil
		}
		f, ok := f.(*cli.StringFlag)
		if !ok {
			continue
		}
		f.EnvVars = nil // those of the steps are not the plugin's
		switch f.Name {
		case "lease-namespace":
			f.Name, f.Usage, f.Aliases = "namespace", namespaceUsage, []string{"n", "lease-namespace"}
		case "output":
			f.Value, f.Aliases = "table", []string{"o"}
		case "log-level":
			f.Value = "error"
		case "log-format":
			f.Value, f.Hidden = "text", true
		case "output-dir", "cluster":
			f.Hidden = true
		}
	}
	c := s.command(streams)
	c.UsageText = "kubectl recycle status [options]"
	return c
}

const namespaceUsage = "`NAMESPACE` of the recycles"

func pluginFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "namespace", Aliases: []string{"n"}, Value: "eks-recycle", Usage: namespaceUsage},
		&cli.StringFlag{Name: "kubeconfig", Usage: "kubeconfig `FILE`; empty means KUBECONFIG or ~/.kube/config"},
		&cli.StringFlag{Name: "context", Usage: "kubeconfig `CONTEXT`"},
	}
}

func submitFlags(template string) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "template", Value: template, Usage: "`NAME` of the WorkflowTemplate"},
		&cli.StringSliceFlag{Name: "parameter", Aliases: []string{"p"}, Usage: "`NAME=VALUE` of a parameter of the WorkflowTemplate; several times for several"},
		&cli.StringFlag{Name: "instanceid", Usage: "`ID` of the workflow-controller, if it has one"},
	}
}

// plugin is one run of a command of the plugin.
type plugin struct {
	streams   Streams
	namespace string
	clients   *Clients
	claims    claim.Claims
	target    string        // a Node, or an instance
	record    *claim.Record // of its recycle, if there is one
}

// withPlugin runs a command on the node that its only argument names.
func withPlugin(c *cli.Context, streams Streams, run func(context.Context, *cli.Context, plugin) error) error {
	p := plugin{streams: streams, namespace: c.String("namespace"), target: c.Args().First()}
	if c.NArg() != 1 || p.target == "" {
		return usageError{hint.Errorf("for example "+c.Command.HelpName+" ip-10-0-1-2.eu-central-1.compute.internal, or i-0123456789abcdef0", "give one node or instance")}
	}
	if p.isInstance() {
		if err := asg.CheckInstanceID(p.target); err != nil {
			return usageError{err}
		}
	}
	log := slog.New(slog.DiscardHandler)
	clients, err := streams.Connect(c.Context, Options{NoAWS: true, Kubeconfig: c.String("kubeconfig"), Context: c.String("context"), LeaseNamespace: p.namespace, Log: log})
	if err != nil {
		return hint.Wrap(err, "name a kubeconfig with --kubeconfig or KUBECONFIG")
	}
	p.clients, p.claims = clients, claim.Claims{Leases: clients.Kube.Leases, Namespace: p.namespace, Log: log}
	if p.record, err = p.find(c.Context); err != nil {
		return err
	}
	return run(c.Context, c, p)
}

func (p plugin) isInstance() bool {
	return strings.HasPrefix(p.target, "i-") && !strings.Contains(p.target, ".")
}

// find reads the record of the target's recycle.
func (p plugin) find(ctx context.Context) (*claim.Record, error) {
	if p.isInstance() {
		return p.claims.Record(ctx, p.target)
	}
	records, _, err := p.claims.Records(ctx)
	if i := slices.IndexFunc(records, func(r claim.Record) bool { return r.Node == p.target }); i >= 0 {
		return &records[i], err
	}
	return nil, err
}

func startRecycle(ctx context.Context, c *cli.Context, p plugin) error {
	if p.record != nil && p.record.Live() {
		return hint.Errorf("kubectl recycle status", "%s is being recycled already, by %s", p.target, p.record.Workflow)
	}
	return p.submit(ctx, c)
}

func restoreNode(ctx context.Context, c *cli.Context, p plugin) error {
	switch {
	case p.record != nil && p.record.Live():
		return hint.Errorf("kubectl recycle stop "+p.target, "%s is being recycled, by %s: stop that first", p.target, p.record.Workflow)
	case p.record != nil && !p.record.RetiringSince.IsZero():
		return hint.Errorf("kubectl recycle start "+p.target+" finishes it", "%s is being retired since %s: its recycle goes on only forward", p.target, p.record.RetiringSince.Format("2006-01-02 15:04 MST"))
	}
	return p.submit(ctx, c)
}

// submit creates the Workflow, once the node and the parameters are known to be some.
func (p plugin) submit(ctx context.Context, c *cli.Context) error {
	template := c.String("template")
	known, err := p.clients.Workflows.Parameters(ctx, p.namespace, template)
	if apierrors.IsNotFound(err) {
		return hint.Wrap(err, "is eks-recycle installed in that namespace? another one: -n NAMESPACE")
	}
	if err != nil {
		return err
	}
	parameters := map[string]string{"node": p.target}
	if p.isInstance() {
		parameters = map[string]string{"instance-id": p.target}
	}
	for _, given := range c.StringSlice("parameter") {
		name, value, found := strings.Cut(given, "=")
		switch {
		case !found:
			return usageError{hint.Errorf("for example -p max-wait=4h", "parameter %q has no value", given)}
		case !slices.Contains(known, name):
			return usageError{hint.Errorf(closest(name, known, "")+"kubectl get workflowtemplate "+template+" -n "+p.namespace+" -o yaml lists them", "WorkflowTemplate %s has no parameter %q", template, name)}
		case name == "node" || name == "instance-id":
			return usageError{hint.Errorf("kubectl recycle "+c.Command.Name+" "+value, "the node is the argument, not parameter %q", name)}
		}
		parameters[name] = value
	}
	if err := p.checkNode(ctx); err != nil {
		return err
	}
	name, err := p.clients.Workflows.Submit(ctx, p.namespace, template, c.String("instanceid"), parameters)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.streams.Out, "workflow.argoproj.io/%s created\n", name)
	return err
}

// checkNode refuses a name that is no Node's and of which there is no recycle. Whoever may not read Nodes is not refused.
func (p plugin) checkNode(ctx context.Context) error {
	if p.isInstance() || p.record != nil {
		return nil
	}
	nodes := node.Client{Nodes: p.clients.Kube.Nodes}
	if _, err := nodes.Get(ctx, p.target); err != nil && !apierrors.IsForbidden(err) {
		return err
	}
	return nil
}

func stopRecycle(ctx context.Context, _ *cli.Context, p plugin) error {
	switch r := p.record; {
	case r == nil:
		return hint.Errorf("one that waits for its turn is stopped by its name: argo stop -n "+p.namespace+" WORKFLOW", "no recycle of %s has begun", p.target)
	case r.Parked():
		return hint.Errorf("kubectl recycle restore "+p.target+" brings it back, kubectl recycle start "+p.target+" goes on", "the recycle of %s is parked: no workflow runs", p.target)
	case !argo.IsWorkflow(r.Workflow):
		return hint.Errorf("ask them to interrupt their step", "%s runs the steps on %s by hand", cmp.Or(r.Workflow, r.Holder), p.target)
	}
	namespace, name, _ := strings.Cut(p.record.Workflow, "/")
	if namespace != p.namespace { // a Lease of this namespace must not decide about workflows of another
		return hint.Errorf("if that recycles it: argo stop -n "+namespace+" "+name, "workflow %s of %s is not in namespace %s", p.record.Workflow, p.target, p.namespace)
	}
	if ended, err := p.clients.Workflows.Ended(ctx, p.record.Workflow, p.record.Holder); err != nil || ended {
		return cmp.Or(err, hint.Errorf("the next sweep settles what it left", "workflow %s of %s has ended", p.record.Workflow, p.target))
	}
	if err := p.clients.Workflows.Stop(ctx, namespace, name); err != nil {
		return err
	}
	_, err := fmt.Fprintf(p.streams.Out, "workflow.argoproj.io/%s stopped\n", printable(name))
	return err
}

// flagsFirst moves the flags of a command before its arguments: people of kubectl write them in any order, and the flag library takes
// them only so.
func flagsFirst(args []string, commands []*cli.Command) []string {
	if len(args) < 2 {
		return args
	}
	i := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.Name == args[1] })
	if i < 0 {
		return args
	}
	takesValue := func(arg string) bool {
		name := strings.TrimLeft(arg, "-")
		return !strings.Contains(arg, "=") && slices.ContainsFunc(commands[i].Flags, func(f cli.Flag) bool {
			_, isBool := f.(*cli.BoolFlag)
			return !isBool && slices.Contains(f.Names(), name)
		})
	}
	var flags, rest []string
	for n := 2; n < len(args); n++ {
		switch arg := args[n]; {
		case arg == "--":
			rest, n = append(rest, args[n+1:]...), len(args)
		case !strings.HasPrefix(arg, "-") || arg == "-":
			rest = append(rest, arg)
		case takesValue(arg) && n+1 < len(args):
			flags, n = append(flags, arg, args[n+1]), n+1
		default:
			flags = append(flags, arg)
		}
	}
	return slices.Concat(args[:2], flags, rest)
}
