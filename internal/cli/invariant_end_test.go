package cli_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// say writes down a violation that somebody else has found.
func (w *checker) say(rule int, format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.violated(rule, format, args...)
}

// begins tells the checker that a workflow sends a call.
func (w *checker) begins(uid, action string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begun[uid+action] = time.Now()
}

// bringsBack tells the checker that another hand takes a target out of Standby now, or did.
func (w *checker) bringsBack(now bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broughtBack = now
}

// knows tells the checker which instance a workflow recycles.
func (w *checker) knows(uid, target string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.targets[uid] = target
}

// atTheEnd checks what is left when all is over.
func (g *simulation) atTheEnd() {
	w := g.checker
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sizesAtTheEnd(g.surplus())
	for _, process := range w.group.Suspended {
		if !w.suspended[process] && !w.unclear[process] {
			w.violated(5, "process %s is left suspended", process)
		}
	}
	for process, was := range w.suspended {
		if was && !w.unclear[process] && !slices.Contains(w.group.Suspended, process) {
			w.violated(5, "process %s was suspended by others and is resumed", process)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.leases)) {
		w.violated(5, "Lease %s is left: %s", name, w.claim(strings.TrimPrefix(name, leasePrefix)))
	}
	for id, n := range w.nodes {
		w.marksAtTheEnd(id, n)
		if w.shutDown[id] {
			w.violated(5, "instance %s is shut down and its node %s is left", id, n.Name)
		}
	}
	g.asBefore()
}

// surplus is how much more than before the desired capacity may be, because a step said so.
func (g *simulation) surplus() int {
	units := 0
	for _, l := range append(slices.Clone(g.runs), g.beside...) {
		for _, warning := range l.warnings {
			if strings.Contains(warning, "one instance more than before") || strings.Contains(warning, "it changed while instance") {
				units += max(g.Group.Weight, 1)
			}
		}
	}
	return units
}

func (w *checker) sizesAtTheEnd(surplus int) {
	if w.group.Min != w.min || w.group.Max != w.max {
		w.violated(4, "min and max are %d and %d, want %d and %d", w.group.Min, w.group.Max, w.min, w.max)
	}
	fits := func(want int) bool {
		want = max(want, w.min) // raising the minimum raises it too
		return w.group.Desired >= want && w.group.Desired <= want+surplus
	}
	if !slices.ContainsFunc(w.desired, fits) {
		w.violated(4, "desired capacity is %d, want one of %v (a surplus of %d was announced)", w.group.Desired, w.desired, surplus)
	}
	if serving := w.serving(""); serving < w.group.Desired {
		w.violated(4, "%d of %d are in service", serving, w.group.Desired)
	}
}

func (w *checker) marksAtTheEnd(id string, n *corev1.Node) {
	var left []string
	for key := range n.Annotations {
		if strings.HasPrefix(key, ownDomain) {
			left = append(left, "annotation "+key)
		}
	}
	for key := range n.Labels {
		if strings.HasPrefix(key, ownDomain) {
			left = append(left, "label "+key)
		}
	}
	for _, taint := range n.Spec.Taints {
		left = append(left, fmt.Sprintf("taint %s:%s", taint.Key, taint.Effect))
	}
	if n.Annotations[scaleDownKey] == "true" {
		left = append(left, "annotation "+scaleDownKey)
	}
	if len(left) > 0 {
		slices.Sort(left)
		w.violated(5, "on the node of instance %s are left: %s", id, strings.Join(left, ", "))
	}
}

// asBefore checks that a node which is still there has what people had put on it.
func (g *simulation) asBefore() {
	n := g.checker.nodes[g.ids[0]]
	if n == nil || n.UID != g.firstNode.UID {
		return
	}
	cordoned := g.Before.Cordoned && !slices.ContainsFunc(g.Acts, func(a act) bool { return a.Kind == uncordon })
	if n.Spec.Unschedulable != g.firstNode.Spec.Unschedulable && cordoned == g.Before.Cordoned {
		g.checker.violated(5, "the node's cordon was %t and is %t", g.firstNode.Spec.Unschedulable, n.Spec.Unschedulable)
	}
	for key, maps := range map[string][2]map[string]string{
		scaleDownKey: {g.firstNode.Annotations, n.Annotations}, excludeKey: {g.firstNode.Labels, n.Labels},
	} {
		if maps[0][key] != maps[1][key] {
			g.checker.violated(5, "the node's %s was %q and is %q", key, maps[0][key], maps[1][key])
		}
	}
}
