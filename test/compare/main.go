// Command compare measures what steps cost beside kubectl, on a sandbox of its own, and where the time of a whole recycle goes. It prints
// Markdown. What it measures are whole processes in pairs, one after the other, so that a slow machine slows both.
//
//	go run ./test/compare -nodes 5000 -pods 150000
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/sandbox"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/progress"
)

// sizes are what is measured, and how often.
type sizes struct {
	nodes, pods, pairs int
	window             time.Duration // for which pods are watched
}

// drainedPods are on the node that is drained.
const drainedPods = 33

func main() {
	var s sizes
	flag.IntVar(&s.nodes, "nodes", 5000, "Nodes in the cluster")
	flag.IntVar(&s.pods, "pods", 150000, "pods in the cluster")
	flag.IntVar(&s.pairs, "pairs", 5, "pairs of runs")
	flag.DurationVar(&s.window, "window", 20*time.Second, "how long the pods of a node are watched")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, s)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s sizes) (err error) {
	cluster, err := sandbox.Up(ctx, sandbox.Options{Progress: func(l progress.Line) {
		if !l.Passing {
			say("%s", l.Text)
		}
	}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Down(context.WithoutCancel(ctx))) }()
	fmt.Printf("%s, %d cores, %d Nodes, %d pods, medians of %d pairs\n\n", time.Now().UTC().Format("2006-01-02"), runtime.NumCPU(), s.nodes, s.pods, s.pairs)
	if err := wholeRecycle(ctx, cluster); err != nil {
		return err
	}
	l, err := load(ctx, cluster, s)
	if err != nil {
		return err
	}
	defer l.close()
	return l.compare(ctx, s)
}

func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s "+format+"\n", append([]any{time.Now().Format("15:04:05")}, args...)...)
}

// cost is what one process took.
type cost struct {
	wall, cpu time.Duration
	rss       int64 // KiB at most
}

// measure runs a program to its end, or until it has run for as long as atMost, if that is set.
func measure(ctx context.Context, env []string, atMost time.Duration, exits []int, args ...string) (c cost, err error) {
	command := exec.CommandContext(ctx, args[0], args[1:]...)
	var log strings.Builder
	command.Env, command.Stderr = env, &log
	if atMost > 0 {
		limited, cancel := context.WithTimeout(ctx, atMost)
		defer cancel()
		command = exec.CommandContext(limited, args[0], args[1:]...)
		command.Env, command.Stderr = env, &log
		command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	}
	began := time.Now()
	if err := command.Start(); err != nil {
		return c, err
	}
	peak := watchMemory(command.Process.Pid)
	_ = command.Wait()
	c.wall, c.rss = time.Since(began), peak()
	c.cpu = command.ProcessState.UserTime() + command.ProcessState.SystemTime()
	if code := command.ProcessState.ExitCode(); atMost == 0 && !slices.Contains(exits, code) {
		return c, fmt.Errorf("%s: exit %d: %s", strings.Join(args[:2], " "), code, log.String())
	}
	return c, ctx.Err()
}

// watchMemory looks at a process's peak of resident memory, in KiB, until it ends. The rusage of a process has that of its parent in it,
// which is large here.
func watchMemory(pid int) (peak func() int64) {
	stop, result := make(chan struct{}), make(chan int64)
	go func() {
		var most int64
		for {
			status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)) // gone once it has ended
			if _, after, found := strings.Cut(string(status), "VmHWM:"); found {
				var kib int64
				_, _ = fmt.Sscan(after, &kib)
				most = max(most, kib)
			}
			select {
			case <-stop:
				result <- most
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return func() int64 { close(stop); return <-result }
}

// pair is two ways to learn the same.
type pair struct {
	name        string
	ours, other func(context.Context) (cost, error)
}

func (p pair) run(ctx context.Context, times int) error {
	var ours, others []cost
	for n := range times + 1 { // the first one warms caches up, and does not count
		one, err := p.ours(ctx)
		if err != nil {
			return err
		}
		other, err := p.other(ctx)
		if err != nil {
			return err
		}
		say("%s: %v and %v", p.name, one.wall.Round(time.Millisecond), other.wall.Round(time.Millisecond))
		if n > 0 {
			ours, others = append(ours, one), append(others, other)
		}
	}
	wall := func(c cost) float64 { return c.wall.Seconds() }
	cpu := func(c cost) float64 { return c.cpu.Seconds() }
	rss := func(c cost) float64 { return float64(c.rss) / 1024 }
	cell := func(of func(cost) float64, digits string) string {
		a, b := median(ours, of), median(others, of)
		return fmt.Sprintf(digits+" / "+digits+" (%.2f)", a, b, a/b)
	}
	fmt.Printf("| %s | %s | %s | %s |\n", p.name, cell(wall, "%.2f"), cell(cpu, "%.2f"), cell(rss, "%.0f"))
	return nil
}

func median(all []cost, of func(cost) float64) float64 {
	sorted := slices.SortedFunc(slices.Values(all), func(a, b cost) int { return cmp.Compare(of(a), of(b)) })
	return of(sorted[len(sorted)/2])
}
