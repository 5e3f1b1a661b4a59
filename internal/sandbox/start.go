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
	"github.com/eks-recycle/eks-recycle/internal/sandbox/image"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/proc"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/programs"
)

// quickly is the wait loop for what takes a second or so on one machine.
func quickly() poll.Loop {
	return poll.Loop{Interval: 100 * time.Millisecond, Log: slog.New(slog.DiscardHandler)}
}

// readyWithin is ample: the slowest program is ready after some seconds, on a machine that compiles others meanwhile too.
const readyWithin = 3 * time.Minute

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

// startBuild begins to build the programs, and the project's own.
func (s sandbox) startBuild(ctx context.Context, wanted []string) (*programs.Build, error) {
	builder := programs.Builder{
		Release:  s.layout.release,
		Root:     s.layout.root,
		Source:   filepath.Join(s.layout.root, "internal", "sandbox", "programs"),
		Cache:    s.layout.cache(),
		Progress: s.passing,
	}
	return builder.Start(ctx, wanted...)
}

// startup is a cluster of the sandbox's own that comes up while its programs are still being built: each part waits for
// its program and for the parts that it needs.
type startup struct {
	sandbox
	build   *programs.Build
	runtime runtime
	set     proc.Set
	// Closed when containerd runs, and when the images of Argo's pods are there: the kubelet of a pod whose image is missing
	// would wait ever longer before it looks again.
	containerd, argoImages, aws chan struct{}
}

// start brings up the programs and what runs in the cluster, and returns once all works.
func (u startup) start(ctx context.Context, c *Cluster) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return u.startRuntime(ctx) })
	group.Go(func() error {
		for _, first := range []component{etcd(u.layout), apiserver(u.layout)} {
			if err := u.runBuilt(ctx, first); err != nil {
				return err
			}
		}
		group.Go(func() error {
			if err := u.runBuilt(ctx, ownAWS(u.layout)); err != nil {
				return err
			}
			close(u.aws)
			return nil
		})
		for _, other := range []component{controllerManager(u.layout), scheduler(u.layout), kwok(u.layout, u.layout.kubeconfig("kwok"))} {
			group.Go(func() error { return u.runBuilt(ctx, other) })
		}
		group.Go(func() error {
			if err := await(ctx, u.containerd); err != nil {
				return err
			}
			return u.runBuilt(ctx, kubelet(u.layout))
		})
		return u.install(ctx, c)
	})
	return group.Wait()
}

// runBuilt runs a component as soon as its program is there.
func (u startup) runBuilt(ctx context.Context, c component) error {
	if err := u.build.Await(ctx, filepath.Base(c.Path)); err != nil {
		return err
	}
	return u.run(ctx, u.set, c)
}

// startRuntime runs containerd and gives it the images, in the order in which their programs are built.
func (u startup) startRuntime(ctx context.Context) error {
	if err := u.run(ctx, u.set, containerd(u.layout, u.runtime)); err != nil {
		return err
	}
	close(u.containerd)
	for _, i := range clusterImages(u.layout) {
		if err := u.importBuilt(ctx, i); err != nil {
			return err
		}
	}
	close(u.argoImages)
	if err := u.importBuilt(ctx, stepImageOf(u.layout)); err != nil {
		return err
	}
	u.say("images are imported")
	return nil
}

func (u startup) importBuilt(ctx context.Context, i image.Image) error {
	if err := u.build.Await(ctx, filepath.Base(i.Files[0].From)); err != nil {
		return err
	}
	return u.importImages(ctx, u.runtime, []image.Image{i})
}

// await returns when the channel is closed or ctx ends.
func await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
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
	return nil
}

// archive is where an image is packed.
func (s sandbox) archive(i image.Image) string {
	name := strings.NewReplacer("/", "_", ":", "_").Replace(i.Reference)
	return s.layout.cache("images", name+".tar")
}
