package cli_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	ktesting "k8s.io/client-go/testing"

	"github.com/eks-recycle/eks-recycle/internal/asg"
	"github.com/eks-recycle/eks-recycle/internal/cli"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

var errKilled = errors.New("killed")

// reaper kills a process at one of its API calls, as SIGKILL or a lost node would: just before the call, or when it took
// effect but the process does not live to hear of it. From then on nothing the process still does reaches anyone.
type reaper struct {
	mu       sync.Mutex
	at       int // which call; 0 = never
	after    bool
	calls    int
	dead     bool
	victim   string
	kill     context.CancelFunc
	upstream http.RoundTripper
}

// next counts a call and says whether it still reaches its server, and whether it is the last one that does.
func (r *reaper) next(name string) (reaches, last bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dead {
		return false, false
	}
	r.calls++
	if r.calls != r.at {
		return true, false
	}
	r.dead, r.victim = true, name
	r.kill()
	return r.after, true
}

// RoundTrip is the process's way to AWS.
func (r *reaper) RoundTrip(request *http.Request) (*http.Response, error) {
	reaches, last := r.next("AWS")
	if !reaches {
		return nil, errKilled
	}
	if last {
		request = request.WithContext(context.WithoutCancel(request.Context()))
	}
	response, err := r.upstream.RoundTrip(request)
	if last && err == nil {
		_ = response.Body.Close()
		return nil, io.ErrUnexpectedEOF
	}
	return response, err
}

// mortal gives the steps clients that the reaper watches.
func (w *world) mortal(r *reaper) {
	r.upstream = awssim.Transport(w.sim)
	cfg := aws.Config{Region: w.region, HTTPClient: &http.Client{Transport: r}, BaseEndpoint: aws.String("http://awssim"), Credentials: w.credentials()}
	kube := w.another()
	kube.PrependReactor("*", "*", func(action ktesting.Action) (bool, runtime.Object, error) {
		if reaches, _ := r.next(action.GetVerb() + " " + action.GetResource().Resource); !reaches {
			return true, nil, errKilled
		}
		return false, nil, nil
	})
	kube.PrependWatchReactor("*", func(action ktesting.Action) (bool, watch.Interface, error) {
		if reaches, _ := r.next("watch " + action.GetResource().Resource); !reaches {
			return true, nil, errKilled
		}
		return false, nil, nil
	})
	w.steps = &cli.Clients{AWS: asg.New(autoscaling.NewFromConfig(cfg), ec2.NewFromConfig(cfg)), Kube: typed(kube), Region: w.region}
}

// attempt runs the workflow's steps until the reaper strikes or all are done.
func (w *world) attempt(r *reaper, flags ...string) (finished bool) {
	for _, name := range []string{"standby", "taint", "drain", "evict", "retire", "settle"} {
		for range 100 {
			ctx, kill := context.WithCancel(w.Context())
			r.kill = kill
			o := w.stepAs(ctx, "wf-1", name, flags...)
			kill()
			if r.dead {
				return false
			}
			if o.code == 0 {
				break
			}
			if o.code != 75 {
				w.Fatalf("step %s: exit %d\n%s", name, o.code, o.stderr)
			}
		}
	}
	return true
}

// Killed before or after each of its API calls and submitted again, a recycle ends as if nothing had happened.
func TestCrashAtEveryCall(t *testing.T) {
	for _, variant := range []struct {
		name, detach, action, end string
		settled                   bool // the exit handler runs between the crash and the next submit
	}{
		{"detached and stopped", awssim.DetachAccept, "stop", "stopped", false},
		{"terminated by its group", awssim.DetachRefuse, "terminate", "terminated", false},
		{"detached and stopped, settled after the crash", awssim.DetachAccept, "stop", "stopped", true},
		{"terminated by its group, settled after the crash", awssim.DetachRefuse, "terminate", "terminated", true},
	} {
		t.Run(variant.name, func(t *testing.T) {
			t.Parallel()
			change := func(c *awssim.Config) { c.DetachFromStandby = variant.detach }
			points := 0
			for at, more := 1, true; more; at++ {
				for _, after := range []bool{false, true} {
					inWorld(t, change, func(w *world) {
						more = w.survives(&reaper{at: at, after: after}, variant.settled, variant.action, variant.end)
					})
					points++
				}
			}
			t.Logf("%d crash points", points)
		})
	}
}

// innocent checks that a settled recycle cost the group nothing: its sizes are as before and the others serve.
func (w *world) innocent() {
	if g := w.group(); *g.DesiredCapacity != 3 {
		w.Errorf("desired capacity is %d after settle", *g.DesiredCapacity)
	}
	in := w.members("InService")
	if len(in) < 3 {
		w.Errorf("in service after settle: %v", in)
	}
	for _, id := range w.ids[1:] {
		if !slices.Contains(in, id) {
			w.Errorf("instance %s is not in service after settle", id)
		}
	}
}

// survives crashes a recycle once, submits it again and checks the end. It returns false if there was nothing to crash.
func (w *world) survives(r *reaper, settled bool, action, end string) (crashed bool) {
	w.mortal(r)
	w.pod(w.ids[0], "batch", 4*time.Minute, nil)
	w.pod(w.ids[0], "web", 0, func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyAlways })
	flags := []string{"--instance-id", w.ids[0], "--action", action}
	finished := w.attempt(r, flags...)
	what := fmt.Sprintf("killed at call %d (%s, after: %v)", r.at, r.victim, r.after)
	if !finished {
		w.steps = nil
		if settled {
			w.done("settle", append(flags, "--workflow-status", "Failed")...)
			w.innocent()
		}
		for _, name := range []string{"standby", "taint", "drain", "evict", "retire"} {
			w.doneAs("wf-2", name, flags...)
		}
		w.doneAs("wf-2", "settle", append(flags, "--workflow-status", "Succeeded")...)
	}
	w.whole(w.ids[1:]...)
	if state := w.instanceState(w.ids[0]); state != end {
		w.Errorf("instance is %s", state)
	}
	if n := w.nodeOf(w.ids[0]); n != nil {
		w.Errorf("node %s is left", n.Name)
	}
	if w.Failed() {
		w.Fatal(what)
	}
	return !finished
}
