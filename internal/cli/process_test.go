package cli_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"syscall"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// process is one run of a step's binary, seen from outside: all its calls pass it. It is where calls take time, fail,
// and where the process is killed.
type process struct {
	*mishaps
	uid  string
	kill context.CancelFunc
	mu   sync.Mutex
	dead bool
	end  *crash // what ended it, if something did
}

// mishaps are those of one run, over all its processes.
type mishaps struct {
	*simulation
	name    string
	mu      sync.Mutex
	calls   int // so far
	since   int // the last crash
	faults  []fault
	crashes []crash
	rate    int // per mille
}

// dice are those of one moment: what they show depends on who throws them when and what for, not on who came first.
func (m *mishaps) dice(what string) *rand.Rand {
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(m.name + what))
	return rand.New(rand.NewPCG(m.Seed^sum.Sum64(), uint64(time.Now().UnixNano())))
}

// next counts a call and says what befalls it.
func (m *mishaps) next(what string) (latency time.Duration, kind string, strikes *crash) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	m.count(&m.stats.Calls)
	m.since++
	dice := m.dice(what)
	latency = time.Duration(5+dice.IntN(40))*time.Millisecond + time.Duration(dice.IntN(1000))*time.Microsecond
	if m.quiet.Load() {
		return latency, "", nil
	}
	if len(m.crashes) > 0 && m.since == m.crashes[0].At {
		strikes, m.crashes, m.since = &m.crashes[0], m.crashes[1:], 0
		m.stats.Crashes++
	}
	for _, f := range m.faults {
		if m.calls >= f.At && m.calls < f.At+f.Run {
			return latency, f.Kind, strikes
		}
	}
	if m.rate > 0 && dice.IntN(1000) < m.rate {
		kind = faults[dice.IntN(len(faults))]
	}
	return latency, kind, strikes
}

// jitter is that of the run's waits, the same at each replay.
func (m *mishaps) jitter(pause time.Duration) time.Duration {
	return pause + time.Duration(m.dice("jitter").Int64N(int64(pause)*3/10+1))
}

// strike ends the process. What it still does reaches nobody, except after SIGTERM: that one it may hear.
func (p *process) strike(c *crash) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end, p.dead = c, c.Then != thenStop
	p.kill()
}

func (p *process) gone() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dead
}

// cross makes a call: latency, then death before it, then the fault that befalls it, then death after it.
func (p *process) cross(ctx context.Context, what string, do func(context.Context) error, befall func(kind string, do func() error) error) error {
	if p.gone() {
		return errKilled
	}
	latency, kind, strikes := p.next(what)
	if strikes != nil && !strikes.After {
		p.note(p.name, what+" — killed before: "+strikes.Then, nil)
		p.strike(strikes)
		if p.gone() {
			return errKilled
		}
	}
	if !pause(ctx, latency) {
		return ctx.Err()
	}
	if p.gone() {
		return errKilled
	}
	if kind == slow && !pause(ctx, 20*time.Second) {
		return ctx.Err()
	}
	if strikes != nil && strikes.After {
		ctx = context.WithoutCancel(ctx)
	}
	hit := false
	err := befall(kind, func() error { hit = true; return do(ctx) })
	if kind != "" && (err != nil || kind == slow) {
		p.count(&p.stats.Faults)
		what += " — " + kind
	}
	p.note(p.name, what, err)
	if strikes != nil && strikes.After && hit {
		p.note(p.name, "killed after: "+strikes.Then, nil)
		p.strike(strikes)
		if p.gone() {
			return errKilled
		}
	}
	return err
}

func (p *process) aws(ctx context.Context, service, action string, form url.Values, do func(context.Context) error) error {
	return p.cross(ctx, action+" "+form.Get("DryRun"), do, func(kind string, do func() error) error {
		broken := refused(http.StatusInternalServerError, "InternalFailure", "An error was injected.")
		switch kind {
		case awsThrottled:
			return refused(http.StatusBadRequest, map[string]string{"autoscaling": "Throttling", "ec2": "RequestLimitExceeded"}[service], "Rate exceeded")
		case awsBroken:
			return broken
		case awsBrokenLate:
			return errors.Join(broken, ignore(do()))
		case awsDropped:
			return dropped()
		case awsLost:
			return errors.Join(dropped(), ignore(do()))
		case awsNotFound:
			if action == "DescribeInstances" {
				return refused(http.StatusBadRequest, "InvalidInstanceID.NotFound", "The instance ID does not exist")
			}
		case awsBusy:
			if service == "autoscaling" && !readsOnly(action) {
				return refused(http.StatusBadRequest, "ScalingActivityInProgress", "The instance is busy.")
			}
		}
		return do()
	})
}

func ignore(error) error { return nil }

func readsOnly(action string) bool { return len(action) > 8 && action[:8] == "Describe" }

func (p *process) kube(ctx context.Context, verb, resource, name string, do func() error) error {
	writes := !slices.Contains([]string{"get", "list", "watch"}, verb)
	return p.cross(ctx, verb+" "+resource+" "+name, func(context.Context) error { return do() }, func(kind string, do func() error) error {
		if p.away(time.Now()) {
			return &url.Error{Op: "Get", URL: "https://cluster", Err: fmt.Errorf("connect: %w", syscall.ECONNREFUSED)}
		}
		switch kind {
		case kubeThrottled:
			return apierrors.NewTooManyRequestsError("too many requests")
		case kubeBroken:
			return apierrors.NewInternalError(errors.New("an error was injected"))
		case kubeLost:
			return errors.Join(apierrors.NewInternalError(errors.New("an error was injected")), ignore(do()))
		case kubeConflict:
			if writes && verb != "create" && verb != "evict" {
				return conflict(resource, name)
			}
		case kubeExpired:
			return apierrors.NewUnauthorized("the token has expired")
		case kubeForbidden:
			return apierrors.NewForbidden(schema.GroupResource{Resource: resource}, name, errors.New("an error was injected"))
		case kubeCut:
			p.api.dropWatches(false)
		case kubeGone:
			p.api.dropWatches(true)
		}
		return do()
	})
}
