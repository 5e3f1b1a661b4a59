package cli_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/eks-recycle/eks-recycle/internal/notify"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// servers answer over HTTP in virtual time.
type servers func(*http.Request) (status int)

func (s servers) RoundTrip(r *http.Request) (*http.Response, error) {
	status := s(r)
	if status == 0 {
		return nil, errors.New("connection refused")
	}
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Body: http.NoBody, Request: r}, nil
}

// receiver is somebody who is notified, and answers with a status.
func (w *world) receiver(status int) (told *[]notify.Message, flags []string) {
	told = &[]notify.Message{}
	w.http = servers(func(r *http.Request) int {
		body, _ := io.ReadAll(r.Body)
		var m notify.Message
		if err := json.Unmarshal(body, &m); err != nil {
			w.Error(err)
		}
		*told = append(*told, m)
		return status
	})
	return told, []string{"--notify-url", "https://hooks.example/s3cr3t", "--workflow-name", "argo/wf"}
}

func reasons(told []notify.Message) (all []string) {
	for _, m := range told {
		reason := m.Reason
		if m.Warning {
			reason += "!"
		}
		all = append(all, reason)
	}
	return all
}

// People are told of each thing that becomes of a recycle, and a receiver that fails changes nothing.
func TestWhoIsNotifiedOfWhat(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		play   func(*world, []string)
		want   []string
	}{
		"a recycle": {200, func(w *world, flags []string) {
			for _, step := range []string{"standby", "taint", "drain", "evict", "retire", "settle"} {
				w.done(step, flags...)
			}
		}, []string{"RecycleStarted", "RecycleDone"}},
		"a recycle, and the receiver refuses": {500, func(w *world, flags []string) {
			for _, step := range []string{"standby", "taint", "drain", "evict", "retire", "settle"} {
				w.done(step, flags...)
			}
		}, []string{"RecycleStarted", "RecycleDone"}},
		"a recycle, and the receiver is away": {0, func(w *world, flags []string) {
			for _, step := range []string{"standby", "taint", "drain", "evict", "retire", "settle"} {
				w.done(step, flags...)
			}
		}, []string{"RecycleStarted", "RecycleDone"}},
		"it is parked": {200, func(w *world, flags []string) {
			w.done("standby", flags...)
			w.done("settle", append(flags, "--workflow-status", "Failed")...)
		}, []string{"RecycleStarted", "RecycleStopped!"}},
		"it is undone": {200, func(w *world, flags []string) {
			if err := w.sim.Configure(func(c *awssim.Config) { c.LaunchFailure = "InsufficientInstanceCapacity" }); err != nil {
				w.Fatal(err)
			}
			w.step("standby", append(flags, "--poll-window", "1m")...)
			w.done("settle", append(flags, "--workflow-status", "Failed")...)
		}, []string{"RecycleStarted", "RecycleUndone"}},
		"a budget blocks it": {200, func(w *world, flags []string) {
			w.pod(w.ids[0], "web", 0, func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyAlways })
			w.budget["web"] = "web"
			w.done("standby", flags...)
			w.done("taint", flags...)
			w.done("drain", flags...)
			for range 9 {
				if o := w.step("evict", append(flags, "--evict-timeout", "1h")...); o.code == 1 {
					break
				}
			}
		}, []string{"RecycleStarted", "RecycleBlocked!"}}, // once for each attempt that is blocked for so long
		"a dry run": {200, func(w *world, flags []string) { w.done("standby", append(flags, "--dry-run")...) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				told, flags := w.receiver(c.status)
				c.play(w, append(flags, "--instance-id", w.ids[0]))
				got := reasons(*told)
				if name == "a budget blocks it" {
					got = slices.Compact(got)
				}
				if !slices.Equal(got, c.want) {
					w.Errorf("told of %v, want %v", got, c.want)
				}
				for _, m := range *told {
					if m.Node == "" || m.Text == "" || m.Workflow != "argo/wf" {
						w.Errorf("told %+v", m)
					}
				}
			})
		})
	}
}

// An address that cannot be one is logged, without it, and nothing fails.
func TestAReceiverThatCannotBe(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		o := w.step("standby", "--instance-id", w.ids[0], "--notify-url", "s3cr3t.example")
		if o.code != 0 || !strings.Contains(o.stderr, "nobody is notified") || strings.Contains(o.stderr, "s3cr3t") {
			w.Errorf("exit %d\n%s", o.code, o.stderr)
		}
	})
}

// A fleet is told of once, with its summary, and waits between two nodes until its gate has been good for a while.
func TestFleetWithAGate(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		a := newArgoWorld(w, func(map[string]string) string { time.Sleep(10 * time.Minute); return "" })
		a.parent("fleet-1")
		began, told := time.Now(), []notify.Message{}
		w.http = servers(func(r *http.Request) int {
			switch {
			case r.Method == http.MethodPost:
				var m notify.Message
				if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
					w.Error(err)
				}
				told = append(told, m)
			case r.URL.Host != "health.example":
				w.Errorf("it asks %s", r.URL)
			case time.Since(began) < time.Hour:
				return http.StatusServiceUnavailable
			}
			return http.StatusOK
		})
		flags := []string{"--asg", group, "--limit", "3", "--gate-url", "https://health.example/", "--gate-for", "5m", "--notify-url", "https://hooks.example"}
		window, _ := a.fleet(w.Context(), "fleet-1", append(flags, "--poll-window", "30m")...)
		if took := time.Since(began).Round(time.Minute); window.code != 0 || len(a.order) != 3 || took < 90*time.Minute || took > 94*time.Minute {
			w.Errorf("exit %d after %s, begun %v\n%s", window.code, took, a.order, window.stderr)
		}
		o := a.stepAs(w.Context(), "fleet-1", "fleet", append(flags, "--workflow-name", "eks-recycle/fleet-1", "--finish", "--workflow-status", "Succeeded")...)
		if got := reasons(told); o.code != 0 || !slices.Equal(got, []string{"FleetEnded"}) || !strings.Contains(told[0].Text, "3 node(s) recycled") {
			w.Errorf("exit %d, told %+v", o.code, told)
		}
		if bad := a.stepAs(w.Context(), "fleet-1", "fleet", "--asg", group, "--gate-url", "health.example"); bad.code != 2 || !strings.Contains(bad.stderr, "--gate-url must be a URL") {
			w.Errorf("exit %d\n%s", bad.code, bad.stderr)
		}
	})
}
