package sandbox

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/hint"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/proc"
)

// restartable are the programs that come back as they were: what they know is in etcd, or on disk. The AWS simulator
// would forget everything.
func restartable() map[string]func(layout) component {
	return map[string]func(layout) component{
		"etcd": etcd, "kube-apiserver": apiserver, "kube-controller-manager": controllerManager, "kube-scheduler": scheduler, "kubelet": kubelet,
		"nats": nats,
	}
}

// Restart kills a program of the sandbox, as a crash would, runs what is to happen while it is away, and starts it
// again. It returns when the program works. The program is started again also when while fails or ctx has ended: others
// use the sandbox after this.
func (c *Cluster) Restart(ctx context.Context, program string, while func(context.Context) error) error {
	componentOf, ok := restartable()[program]
	if !ok {
		known := slices.Sorted(maps.Keys(restartable()))
		return hint.Errorf("give one of "+strings.Join(known, ", "), "restarting %q: it is no program that can be restarted", program)
	}
	if c.Existing {
		return fmt.Errorf("restarting %q: the cluster is not the sandbox's own", program)
	}
	s, unlock, err := open(Options{Root: c.layout.root, State: c.layout.state})
	if err != nil {
		return err
	}
	defer unlock()
	return s.restart(ctx, c.layout.processes(), componentOf(c.layout), while)
}

// Away is how Restart keeps a program away for a while.
func Away(d time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Pause halts programs of the sandbox until resume, so that they take nothing from what is measured.
func (c *Cluster) Pause(programs ...string) (resume func() error, err error) {
	return pause(c.layout.processes(), programs)
}

func pause(set proc.Set, programs []string) (resume func() error, err error) {
	records, err := set.List()
	if err != nil {
		return nil, err
	}
	var halted []proc.Record
	resume = func() (err error) {
		for _, r := range halted {
			err = errors.Join(err, syscall.Kill(r.PID, syscall.SIGCONT))
		}
		return err
	}
	for _, program := range programs {
		i := slices.IndexFunc(records, func(r proc.Record) bool { return r.Name == program && r.Alive() })
		if i < 0 {
			return nil, errors.Join(fmt.Errorf("pausing %q: it does not run", program), resume())
		}
		if err := syscall.Kill(records[i].PID, syscall.SIGSTOP); err != nil {
			return nil, errors.Join(fmt.Errorf("pausing %q: %w", program, err), resume())
		}
		halted = append(halted, records[i])
	}
	return resume, nil
}

func (s sandbox) restart(ctx context.Context, set proc.Set, c component, while func(context.Context) error) error {
	records, err := set.List()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(records, func(r proc.Record) bool { return r.Name == c.Name })
	if i < 0 {
		return fmt.Errorf("restarting %q: it was not started", c.Name)
	}
	const noGrace = 0
	if err := set.Stop(ctx, records[i], noGrace); err != nil {
		return err
	}
	failed := while(ctx)
	if err := s.run(context.WithoutCancel(ctx), set, c); err != nil {
		return err
	}
	if failed != nil {
		return fmt.Errorf("waiting while %q is away: %w", c.Name, failed)
	}
	return nil
}
