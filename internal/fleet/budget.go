package fleet

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/eks-recycle/eks-recycle/internal/argo"
)

// Budget is a number of nodes, or a share of some whole.
type Budget struct {
	n       int
	percent bool
}

// ParseBudget reads "3" or "25%". Zero is refused: nothing would ever move.
func ParseBudget(text string) (Budget, error) {
	digits, percent := strings.CutSuffix(strings.TrimSpace(text), "%")
	n, err := strconv.Atoi(digits)
	if err != nil || n < 1 || (percent && n > 100) {
		return Budget{}, fmt.Errorf("%q is neither a number of nodes from 1 on nor a share such as 25%%", text)
	}
	return Budget{n, percent}, nil
}

// Of is the budget's number of nodes in a whole. A share is rounded down, as Kubernetes does with maxUnavailable, but is
// never less than one node.
func (b Budget) Of(whole int) int {
	if !b.percent {
		return b.n
	}
	return max(whole*b.n/100, 1)
}

// Limits are what bounds the nodes in progress: MaxUnavailable those of each group, PerZone those of one zone, all groups
// together. A PerZone of 0 leaves that open.
type Limits struct {
	MaxUnavailable Budget
	PerZone        int
}

// Next returns who of those that wait, in their order, may start now. sizes are the numbers of members of each group; a
// group that is not there counts as one of a single node. Nodes that others recycle use up the budget as well; their zone may not
// be known.
func Next(waiting, inProgress []argo.Child, sizes map[string]int, l Limits) []argo.Child {
	busy, inGroup, inZone := map[string]bool{}, map[string]int{}, map[string]int{}
	take := func(n argo.Child) {
		busy[n.Instance] = true
		inGroup[n.Group]++
		inZone[n.Zone]++
	}
	for _, n := range inProgress {
		if !busy[n.Instance] {
			take(n)
		}
	}
	var next []argo.Child
	for _, n := range waiting {
		room := l.MaxUnavailable.Of(cmp.Or(sizes[n.Group], 1)) - inGroup[n.Group]
		if busy[n.Instance] || room <= 0 || (l.PerZone > 0 && inZone[n.Zone] >= l.PerZone) {
			continue
		}
		take(n)
		next = append(next, n)
	}
	return next
}
