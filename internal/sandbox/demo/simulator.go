package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// simulator reads awssim's control API.
type simulator struct{ endpoint string }

// group is an Auto Scaling group with its members.
type group struct {
	awssim.GroupState
	members []awssim.InstanceState
}

func (g group) inService() int {
	count := 0
	for _, m := range g.members {
		if m.LifecycleState == "InService" {
			count++
		}
	}
	return count
}

func (g group) lifecycle(instance string) string {
	for _, m := range g.members {
		if m.ID == instance {
			return m.LifecycleState
		}
	}
	return ""
}

func (s simulator) get(ctx context.Context, path string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.endpoint+"/_sim/"+path, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("asking awssim: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("asking awssim for %s: %s", path, response.Status)
	}
	return json.NewDecoder(response.Body).Decode(into)
}

func (s simulator) group(ctx context.Context, name string) (group, error) {
	var state awssim.State
	if err := s.get(ctx, "state", &state); err != nil {
		return group{}, err
	}
	for _, g := range state.Groups {
		if g.Name != name {
			continue
		}
		found := group{GroupState: g}
		for _, i := range state.Instances {
			if i.Group == name {
				found.members = append(found.members, i)
			}
		}
		return found, nil
	}
	return group{}, fmt.Errorf("awssim has no group %q", name)
}

func (s simulator) instance(ctx context.Context, id string) (awssim.InstanceState, error) {
	var state awssim.State
	if err := s.get(ctx, "state", &state); err != nil {
		return awssim.InstanceState{}, err
	}
	for _, i := range state.Instances {
		if i.ID == id {
			return i, nil
		}
	}
	return awssim.InstanceState{}, fmt.Errorf("awssim has no instance %q", id)
}

// events and calls since a sequence number.
func (s simulator) events(ctx context.Context, since int) (events []awssim.Event, err error) {
	err = s.get(ctx, fmt.Sprintf("events?since=%d", since), &events)
	return events, err
}

func (s simulator) calls(ctx context.Context, since int) (calls []awssim.Call, err error) {
	err = s.get(ctx, fmt.Sprintf("calls?since=%d", since), &calls)
	return calls, err
}
