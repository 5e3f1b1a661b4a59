package drain_test

import (
	"fmt"
	"testing"

	"github.com/eks-recycle/eks-recycle/internal/drain"
)

// 110 pods of a megabyte each do not fit into a step's memory at once.
func TestPodsAreListedInPages(t *testing.T) {
	for name, c := range map[string]struct {
		between func(*server) // after each page
		pages   int
	}{
		"of one moment":   {func(*server) {}, 11},
		"while pods come": {func(s *server) { s.version++; s.pods["default/late"] = pod("late") }, 11},
		"of a moment that is forgotten": {func(s *server) {
			if len(s.asked["list"]) == 5 {
				s.version++
				s.oldest = s.version
			}
		}, 5 + 1 + 11},
	} {
		for doing, list := range map[string]func(*testing.T, *drain.Client) int{
			"a look": func(t *testing.T, c *drain.Client) int {
				left, err := c.Left(t.Context(), host, selection(t, "", ""))
				if err != nil {
					t.Fatal(err)
				}
				return len(left.Left)
			},
			"a view": func(t *testing.T, c *drain.Client) int {
				evictees, _, err := c.Evictees(t.Context(), host, drain.Eviction{Selection: selection(t, "app=none", "")})
				if err != nil {
					t.Fatal(err)
				}
				return len(evictees)
			},
		} {
			t.Run(doing+" "+name, func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					s := newServer()
					for i := range 110 {
						s.put(pod(fmt.Sprintf("pod-%03d", i)))
					}
					s.paged = func() { c.between(s) }
					if n := list(t, s.client(t)); n != 110 {
						t.Errorf("%d pods, want 110", n)
					}
					if len(s.asked["list"]) != c.pages {
						t.Errorf("%d pages, want %d", len(s.asked["list"]), c.pages)
					}
					for _, q := range s.asked["list"] {
						if q.Get("limit") != "10" {
							t.Errorf("asked for %v", q)
						}
					}
				})
			})
		}
	}
}
