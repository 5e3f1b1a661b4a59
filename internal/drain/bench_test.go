package drain_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/eks-recycle/eks-recycle/internal/drain"
)

// big gives a pod the bulk of a real one, about 10 KB.
func big(p *corev1.Pod) {
	for _, name := range []string{"work", "sidecar"} {
		c := corev1.Container{Name: name, Image: "registry.example/team/" + name + ":v1.2.3"}
		for i := range 30 {
			c.Env = append(c.Env, corev1.EnvVar{Name: fmt.Sprintf("SETTING_%d", i), Value: strings.Repeat("x", 40)})
		}
		p.Spec.Containers = append(p.Spec.Containers, c)
		p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{Name: name, Image: c.Image, ImageID: strings.Repeat("0", 64)})
	}
	p.Annotations = map[string]string{"example.com/config": strings.Repeat("y", 500)}
	p.Labels = map[string]string{"app": "batch", "team": "a", "pod-template-hash": "5d4f8c7b6"}
	p.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubelet", FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"z":"` + strings.Repeat("z", 3000) + `"}}`)}}
}

func fill(s *server, n int, change ...func(*corev1.Pod)) {
	for i := range n {
		s.put(pod(fmt.Sprintf("pod-%d", i), append(change, big)...))
	}
}

const podsOnANode = 150

// From the start of the wait over the ends of all pods, each of which arrives as an event, to the end of the wait.
func BenchmarkAwait150Pods(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		s := newServer()
		fill(s, podsOnANode)
		c := s.client(b)
		b.StartTimer()
		first := true
		result, err := c.Await(b.Context(), host, selection(b, "", ""), never(), func(drain.Result) {
			if first {
				first = false
				go func() {
					for i := range podsOnANode {
						s.finish(fmt.Sprintf("default/pod-%d", i), 0)
					}
				}()
			}
		})
		if err != nil || result.Finished != podsOnANode {
			b.Fatalf("%+v, %v", result, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*podsOnANode), "µs/pod")
}

// Each pod is evicted and goes at once.
func BenchmarkEvict150Pods(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		s := newServer()
		s.grace = 0
		fill(s, podsOnANode, always)
		c := s.client(b)
		b.StartTimer()
		out, err := c.Evict(b.Context(), host, drain.Eviction{Selection: selection(b, "", "")})
		if err != nil || out.Evicted != podsOnANode {
			b.Fatalf("%d evicted, %v", out.Evicted, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*podsOnANode), "µs/pod")
}

// What a drain keeps on the heap while it waits.
func BenchmarkMemoryWhileWaiting(b *testing.B) {
	const pods = 1500
	s := newServer()
	fill(s, pods)
	c := s.client(b)
	var kept uint64
	for b.Loop() {
		before := heap()
		ctx, cancel := context.WithCancel(b.Context())
		_, err := c.Await(ctx, host, selection(b, "", ""), never(), func(drain.Result) {
			s.mu.Lock()
			clear(s.asked) // the fake's own
			s.mu.Unlock()
			kept += max(heap(), before) - before
			cancel()
		})
		if err == nil {
			b.Fatal("it ended by itself")
		}
	}
	b.ReportMetric(float64(kept)/float64(b.N*pods), "heap-B/pod")
	b.ReportMetric(0, "ns/op")
}

func heap() uint64 {
	time.Sleep(20 * time.Millisecond) // what still runs of the round before ends
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
