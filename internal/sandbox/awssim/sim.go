package awssim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Sim is one AWS account in one region. It is an http.Handler.
type Sim struct {
	mu        sync.Mutex // guards all below but nodes and writers, which have their own
	cfg       Config
	own       map[string]*ownConfig // by group
	rng       *rand.Rand            // of ids
	requests  *rand.Rand            // of request ids, apart: polling must not change what ids come next
	agenda    agenda
	groups    []*group          // by creation; few enough to search
	templates []*launchTemplate // likewise
	instances map[string]*instance
	order     []*instance // by launch, for stable answers
	addresses int
	calls     []*Call
	callSeq   int
	events    []Event
	eventSeq  int
	observers []func(Change)
	untold    []Event // to the observers
	by        origin  // of what is done now; zero while the group acts by itself
	faults    []*Fault
	buckets   map[string]*bucket
	history   []snapshot // while reads are stale
	lags      *rand.Rand
	luck      *rand.Rand // of random faults
	queues    []*queue
	rules     []*rule
	mail      *rand.Rand // of ids of messages and events, apart as those of requests are

	services map[string]service
	control  *http.ServeMux
	nodes    *nodeWorker
	writers  *sync.Pool // of *xmlWriter; apart, as the runtime holds on to a pool and would to the simulator

	stop func()
	done sync.WaitGroup
}

// New makes a simulator without groups or instances. It panics on a setting
// that cannot be, as that is a mistake in the caller's program.
func New(cfg Config) *Sim {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		panic(fmt.Sprintf("awssim: %v", err))
	}
	s := &Sim{
		cfg:       cfg,
		rng:       rand.New(rand.NewPCG(cfg.Seed, 0x9e3779b97f4a7c15)),
		requests:  rand.New(rand.NewPCG(cfg.Seed, 1)),
		lags:      rand.New(rand.NewPCG(cfg.Seed, 2)),
		luck:      rand.New(rand.NewPCG(cfg.Seed, 3)),
		mail:      rand.New(rand.NewPCG(cfg.Seed, 4)),
		agenda:    newAgenda(),
		instances: map[string]*instance{},
		buckets:   map[string]*bucket{},
		writers:   new(sync.Pool),
		own:       map[string]*ownConfig{},
	}
	s.services = map[string]service{
		"autoscaling": {namespace: "http://autoscaling.amazonaws.com/doc/2011-01-01/", version: "2011-01-01", actions: s.autoscalingActions(), params: autoscalingParams()},
		"ec2":         {namespace: "http://ec2.amazonaws.com/doc/2016-11-15/", version: "2016-11-15", actions: s.ec2Actions(), params: ec2Params()},
		"sts":         {namespace: "https://sts.amazonaws.com/doc/2011-06-15/", version: "2011-06-15", actions: s.stsActions()},
		"sqs":         {actions: s.sqsActions()},
		"events":      {actions: s.eventsActions()},
	}
	s.control = s.controlRoutes()
	if cfg.Kubernetes != nil {
		s.nodes = newNodeWorker(cfg.Kubernetes, cfg.Log)
	}
	return s
}

// Start lets time act on the simulator until the context ends or Close is called.
func (s *Sim) Start(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	s.mu.Lock()
	s.stop = cancel
	s.mu.Unlock()
	s.done.Go(func() { s.run(ctx) })
	if s.nodes != nil {
		s.done.Go(func() { s.nodes.run(ctx) })
	}
}

// Close ends what Start began and waits for it.
func (s *Sim) Close() {
	s.mu.Lock()
	stop := s.stop
	s.mu.Unlock()
	if stop != nil {
		stop()
	}
	s.done.Wait()
}

// Configure changes settings; groups look at once whether they can now act.
func (s *Sim) Configure(change func(*Config)) error {
	s.mu.Lock()
	defer s.release()
	next := s.cfg
	next.TokenGroups, next.FaultKinds = slices.Clone(s.cfg.TokenGroups), slices.Clone(s.cfg.FaultKinds)
	change(&next)
	next = next.withDefaults()
	if err := next.validate(); err != nil {
		return err
	}
	s.apply(next)
	return nil
}

func (s *Sim) apply(next Config) {
	if next.AutoScalingRate != s.cfg.AutoScalingRate || next.AutoScalingBurst != s.cfg.AutoScalingBurst ||
		next.EC2Rate != s.cfg.EC2Rate || next.EC2Burst != s.cfg.EC2Burst {
		clear(s.buckets)
	}
	if next.LaunchFailure != s.cfg.LaunchFailure {
		for _, g := range s.groups {
			g.launchAfter, g.failedLaunches = time.Time{}, 0
		}
	}
	s.cfg = next
	s.inherit()
	s.remember()
	for _, g := range s.groups {
		s.reconcileSoon(g)
	}
}

func (s *Sim) group(name string) *group {
	i := slices.IndexFunc(s.groups, func(g *group) bool { return g.name == name })
	if i < 0 {
		return nil
	}
	return s.groups[i]
}

// hex gives n random hexadecimal digits of a seeded sequence.
func hex(rng *rand.Rand, n int) string {
	const digits = "0123456789abcdef"
	b := make([]byte, n)
	for i := range b {
		b[i] = digits[rng.IntN(16)]
	}
	return string(b)
}

func uuid(rng *rand.Rand) string {
	return hex(rng, 8) + "-" + hex(rng, 4) + "-4" + hex(rng, 3) + "-a" + hex(rng, 3) + "-" + hex(rng, 12)
}

// stamp is how AWS writes a time inside a sentence.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
