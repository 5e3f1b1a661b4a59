package sandbox

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/eks-recycle/eks-recycle/internal/poll"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/components"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/image"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/proc"
)

// quickly is the wait loop for what takes a second or so on one machine.
func quickly() poll.Loop {
	return poll.Loop{Interval: 100 * time.Millisecond, Log: slog.New(slog.DiscardHandler)}
}

// readyWithin is ample: the slowest program is ready after some seconds on a busy machine.
const readyWithin = time.Minute

// run writes a component's files, starts it and waits until it works.
func (s sandbox) run(ctx context.Context, set proc.Set, c component) error {
	for path, content := range c.files {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("starting %q: %w", c.Name, err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return fmt.Errorf("starting %q: %w", c.Name, err)
		}
	}
	running, err := set.Start(c.Process)
	if err != nil {
		return err
	}
	go func() {
		<-running.Done
		s.died(fmt.Errorf("%s has ended; last lines of %s:\n%s", c.Name, set.LogPath(c.Name), set.Tail(c.Name, 8)))
	}()
	if err := set.AwaitReady(ctx, running, readyWithin, c.ready); err != nil {
		return err
	}
	s.say("%s is ready", c.Name)
	return nil
}

// build makes everything that is run. The programs that only an own cluster needs are not built for an existing one.
func (s sandbox) build(ctx context.Context, programs []string) (components.Built, error) {
	builder := components.Builder{
		Source:   filepath.Join(s.layout.root, "internal", "sandbox", "components"),
		Cache:    s.layout.cache(),
		Progress: s.passing,
	}
	built, err := builder.Build(ctx, programs...)
	if err != nil {
		return built, err
	}
	s.passing("building the project's programs")
	if err := s.buildOwn(ctx); err != nil {
		return built, err
	}
	s.say("programs are built")
	return built, nil
}

// startOwn starts a cluster of the sandbox's own: first what others wait for, and all else side by side.
func (s sandbox) startOwn(ctx context.Context) error {
	l := s.layout
	set := l.processes()
	r, err := findRuntime(l)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	runtimeReady := make(chan struct{})
	group.Go(func() error {
		if err := s.run(ctx, set, containerd(l, r)); err != nil {
			return err
		}
		close(runtimeReady)
		return s.importImages(ctx, r, append(clusterImages(l), stepImageOf(l)))
	})
	group.Go(func() error {
		if err := s.run(ctx, set, etcd(l)); err != nil {
			return err
		}
		if err := s.run(ctx, set, apiserver(l)); err != nil {
			return err
		}
		for _, c := range []component{controllerManager(l), scheduler(l), kwok(l, l.kubeconfig("kwok")), ownAWS(l)} {
			group.Go(func() error { return s.run(ctx, set, c) })
		}
		select {
		case <-runtimeReady:
			return s.run(ctx, set, kubelet(l))
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	return group.Wait()
}

// importImages packs images and gives them to containerd.
func (s sandbox) importImages(ctx context.Context, r runtime, images []image.Image) error {
	if err := os.MkdirAll(s.layout.cache("images"), 0o755); err != nil {
		return fmt.Errorf("importing images: %w", err)
	}
	for _, i := range images {
		archive := s.archive(i)
		if err := i.Write(archive); err != nil {
			return err
		}
		cmd := exec.CommandContext(ctx, "ctr", "--address", s.layout.containerdSocket(), "--namespace", containerdNames,
			"images", "import", "--snapshotter", r.snapshotter, archive)
		if output, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("importing image %q: %w: %s", i.Reference, err, lastLine(string(output)))
		}
	}
	s.say("images are imported")
	return nil
}

// archive is where an image is packed.
func (s sandbox) archive(i image.Image) string {
	name := strings.NewReplacer("/", "_", ":", "_").Replace(i.Reference)
	return s.layout.cache("images", name+".tar")
}
