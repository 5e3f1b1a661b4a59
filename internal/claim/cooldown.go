package claim

import (
	"context"
	"strings"
	"time"
)

// coolDowns is the beginning of the names of Leases that nobody renews: one of a group runs out when its time to cool down does.
const coolDowns = prefix + "cool-down-"

// CoolDown begins a group's time to cool down, for the holder alone. It returns a *HeldError while that of another holder
// lasts; the holder's own begins anew.
func (c Claims) CoolDown(ctx context.Context, group string, lasts time.Duration) (*Claim, error) {
	c.Duration = lasts
	name := coolDowns + strings.TrimPrefix(GroupName(group), prefix+"asg-")
	return c.acquire(ctx, name, "the time to cool down of Auto Scaling group "+group, map[string]string{annotationGroup: group})
}

// isOfInstance tells claims on instances, and on groups for one, from the other Leases of this package.
func isOfInstance(name string) bool {
	return name != fleets && !strings.HasPrefix(name, coolDowns)
}
