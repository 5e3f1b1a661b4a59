package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/image"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/proc"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/programs"
)

func (s sandbox) up(ctx context.Context, o Options) (*Cluster, error) {
	if o.Kubeconfig != "" {
		return s.upOnExisting(ctx, o)
	}
	goos, uid := platform()
	if err := requireRootOnLinux(goos, uid); err != nil {
		return nil, err
	}
	if err := s.layout.requireMachine(); err != nil {
		return nil, err
	}
	if err := installPackages(ctx, func(text string) { s.say("%s", text) }); err != nil {
		return nil, err
	}
	wanted := programs.Cluster()
	if o.Events && s.layout.release.Events == "" {
		return nil, fmt.Errorf("adding events: release %q has no Argo Events", s.layout.release.Name)
	}
	if o.Events {
		wanted = append(wanted, programs.Events()...)
	}
	build, err := s.startBuild(ctx, wanted)
	if err != nil {
		return nil, err
	}
	defer build.Stop()
	fingerprint, err := s.fingerprint(ctx, build)
	if err != nil {
		return nil, err
	}
	c, why := s.healthy(ctx, fingerprint)
	fresh := c == nil
	if !fresh {
		if err := build.Wait(); err != nil {
			return nil, err
		}
		c, err = s.refresh(ctx, c)
	} else {
		if why != "" {
			s.say("starting afresh: %s", why)
		}
		c, err = s.bringUp(ctx, build, fingerprint)
	}
	if err != nil || !o.Events {
		return c, err
	}
	if err = s.addEvents(ctx, c, build.EventsManifests()); err != nil && fresh {
		return nil, errors.Join(err, s.down(ctx))
	}
	return c, err
}

// healthy returns the sandbox that is up, if all of it is and it is of the present make. Else it says why not; nothing
// is said when none was up.
func (s sandbox) healthy(ctx context.Context, fingerprint string) (*Cluster, string) {
	c, err := readCluster(s.layout)
	if err != nil {
		records, _ := s.layout.processes().List()
		if len(records) > 0 {
			return nil, "the last run did not end cleanly"
		}
		return nil, ""
	}
	if c.Fingerprint != fingerprint {
		return nil, "the sandbox's programs changed"
	}
	if c.Existing {
		return nil, "the sandbox runs on another cluster"
	}
	if err := requireAlive(s.layout.processes()); err != nil {
		return nil, err.Error()
	}
	if err := apiReady(c.Kubeconfig)(ctx); err != nil {
		return nil, err.Error()
	}
	return c, ""
}

// requireAlive tells of a process that has ended though nobody stopped it.
func requireAlive(set proc.Set) error {
	records, err := set.List()
	if err != nil {
		return err
	}
	if len(records) == 0 {
		return errors.New("its processes are gone")
	}
	for _, r := range records {
		if !r.Alive() {
			return fmt.Errorf("%s has ended", r.Name)
		}
	}
	return nil
}

// bringUp starts everything, on a machine from which an earlier run is cleared away first. It gives up as soon as a process
// ends or a program cannot be built, and then stops what it started.
func (s sandbox) bringUp(ctx context.Context, build *programs.Build, fingerprint string) (*Cluster, error) {
	if err := s.down(ctx); err != nil {
		return nil, err
	}
	watched, died := context.WithCancelCause(ctx)
	defer died(nil)
	s.died = died
	c := s.newCluster()
	err := s.startAndInstall(watched, build, c)
	if err == nil {
		err = build.Wait()
	}
	if err == nil {
		c.Started, c.Fingerprint = time.Now().UTC(), fingerprint
		if c.StepDigest, err = digest(s.layout.own("step")); err == nil {
			err = c.write()
		}
	}
	if err == nil {
		return c, nil
	}
	if watched.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("starting the sandbox: %w", context.Cause(watched))
	}
	s.say("stopping again what was started; logs are in %s", s.layout.logs())
	return nil, errors.Join(err, s.down(ctx))
}

func (s sandbox) startAndInstall(ctx context.Context, build *programs.Build, c *Cluster) error {
	if err := s.prepareMachine(ctx); err != nil {
		return err
	}
	r, err := findRuntime(s.layout)
	if err != nil {
		return err
	}
	u := startup{
		sandbox: s, build: build, runtime: r, set: s.layout.processes(),
		containerd: make(chan struct{}), argoImages: make(chan struct{}), aws: make(chan struct{}),
	}
	return u.start(ctx, c)
}

// install puts into the cluster what runs in it, as soon as it can run.
func (u startup) install(ctx context.Context, c *Cluster) error {
	k, err := connect(c.Kubeconfig)
	if err != nil {
		return err
	}
	if err := k.apply(ctx, "sandbox-cluster", ownNamespaces()); err != nil {
		return err
	}
	if err := u.installArgo(ctx, k, u.build.ArgoManifests()); err != nil {
		return err
	}
	if err := u.installWorkflows(ctx, k, c); err != nil {
		return err
	}
	if err := await(ctx, u.aws); err != nil {
		return err
	}
	if err := u.createGroup(ctx, c.AWSEndpoint); err != nil {
		return err
	}
	return u.awaitAll(ctx, k, c)
}

// prepareMachine records what the machine is like, makes room, and writes the keys.
func (s sandbox) prepareMachine(ctx context.Context) error {
	l := s.layout
	if err := os.RemoveAll(l.logs()); err != nil {
		return fmt.Errorf("removing old logs: %w", err)
	}
	if err := os.MkdirAll(l.kubeconfig(""), 0o700); err != nil {
		return fmt.Errorf("preparing the state folder: %w", err)
	}
	// Asked before the machine is claimed: what is on a claimed machine counts as the sandbox's, and is removed.
	if err := requireFreeAddress(); err != nil {
		return err
	}
	if err := l.claimMachine(); err != nil {
		return err
	}
	if err := writeHostState(l.short("host.json"), machineFiles{root: "/"}.record()); err != nil {
		return err
	}
	if err := addAddress(ctx); err != nil {
		return err
	}
	if err := awaitPorts(ctx, 10*time.Second, ports()); err != nil {
		return err
	}
	return writeCertificates(l)
}

func ports() []string {
	out := []string{hostPort(address, portAPI), hostPort(address, portAWS), hostPort(address, portKubelet)}
	for _, p := range []int{portAWS, portEtcd, portEtcdPeer, portControllers, portScheduler, portKubeletHealth, portKwok} {
		out = append(out, hostPort(loopback, p))
	}
	return out
}

// refresh brings a running sandbox up to date with the checkout: the step image and the workflows.
func (s sandbox) refresh(ctx context.Context, c *Cluster) (*Cluster, error) {
	s.say("the sandbox is up since %s", c.Started.Local().Format(time.TimeOnly))
	step, err := digest(s.layout.own("step"))
	if err != nil {
		return nil, err
	}
	if step != c.StepDigest {
		r, err := findRuntime(s.layout)
		if err != nil {
			return nil, err
		}
		if err := s.importImages(ctx, r, []image.Image{stepImageOf(s.layout)}); err != nil {
			return nil, err
		}
	}
	k, err := connect(c.Kubeconfig)
	if err != nil {
		return nil, err
	}
	if err := s.installWorkflows(ctx, k, c); err != nil {
		return nil, err
	}
	c.StepDigest = step
	return c, c.write()
}
