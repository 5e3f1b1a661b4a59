package awssim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// groupSettings are the settings that a group can have for itself: how long what befalls its instances takes, what they are
// like, and what AWS refuses. All others are the account's.
var groupSettings = []string{
	"boot", "nodeJoin", "nodeReady", "enteringStandby", "exitingStandby", "detaching", "stopping", "starting", "terminating",
	"reconcile", "healthCheck", "spotNotice", "launchRetry", "nodeNaming", "detachFromStandby", "exitStandbyAtMax", "pendingScaleIn", "capacityRebalancing",
	"launchFailure", "nodeNeverJoins", "nodeNeverReady", "spot", "instanceType",
}

// ownConfig is the settings in force for one group.
type ownConfig struct {
	settings []byte // those that it has for itself, as JSON
	Config
}

// ConfigureGroup gives a group settings of its own, in the place of those that it had; all others are as [Sim.Configure] has
// them. A group that is not there yet has them from its first launch on.
func (s *Sim) ConfigureGroup(name string, settings []byte) error {
	var named map[string]json.RawMessage
	if err := json.Unmarshal(settings, &named); err != nil {
		return fmt.Errorf("reading the settings of group %q: %w", name, err)
	}
	for setting := range named {
		if !slices.Contains(groupSettings, setting) {
			return fmt.Errorf("reading the settings of group %q: %q is none that a group has for itself", name, setting)
		}
	}
	s.mu.Lock()
	defer s.release()
	s.catchUp()
	own := ownConfig{slices.Clone(settings), s.cfg}
	if err := own.merge(settings); err != nil {
		return err
	}
	own.Config = own.withDefaults()
	before := s.configOf(name).LaunchFailure
	s.own[name] = &own
	if g := s.group(name); g != nil {
		if own.LaunchFailure != before {
			g.launchAfter, g.failedLaunches = time.Time{}, 0
		}
		s.reconcileSoon(g)
	}
	return nil
}

// configOf is what is in force for a group; for "", which is no group's name, what is in force in general.
func (s *Sim) configOf(group string) *Config {
	if own := s.own[group]; own != nil {
		return &own.Config
	}
	return &s.cfg
}

// inherit has the groups' own settings follow a change of the general ones.
func (s *Sim) inherit() {
	for _, own := range s.own {
		own.Config = s.cfg
		if err := own.merge(own.settings); err != nil {
			panic(fmt.Sprintf("awssim: settings that were good before: %v", err))
		}
		own.Config = own.withDefaults()
	}
}

func (s *Sim) putGroupConfig(w http.ResponseWriter, r *http.Request) {
	var settings json.RawMessage
	if err := readJSON(w, r, &settings); err != nil {
		refuse(w, err)
		return
	}
	finish(w, s.ConfigureGroup(r.PathValue("name"), settings))
}
