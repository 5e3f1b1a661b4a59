package awssim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// controlRoutes is the control API; the package comment lists it.
func (s *Sim) controlRoutes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_sim/calls", since(func(n int) any { return s.Calls(n) }))
	mux.HandleFunc("DELETE /_sim/calls", func(w http.ResponseWriter, _ *http.Request) { s.ForgetCalls(); done(w) })
	mux.HandleFunc("GET /_sim/events", since(func(n int) any { return s.Events(n) }))
	mux.HandleFunc("GET /_sim/state", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, s.State()) })
	mux.HandleFunc("GET /_sim/config", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, s.settings()) })
	mux.HandleFunc("PUT /_sim/config", s.putConfig)
	mux.HandleFunc("GET /_sim/faults", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, s.Faults()) })
	mux.HandleFunc("POST /_sim/faults", s.postFaults)
	mux.HandleFunc("DELETE /_sim/faults", func(w http.ResponseWriter, _ *http.Request) { s.ForgetFaults(); done(w) })
	mux.HandleFunc("POST /_sim/instances", s.postInstance)
	mux.HandleFunc("PATCH /_sim/instances/{id}", s.patchInstance)
	for _, action := range []string{"terminate", "stop", "start"} {
		mux.HandleFunc("POST /_sim/instances/{id}/"+action, func(w http.ResponseWriter, r *http.Request) {
			finish(w, s.ActOutside(r.PathValue("id"), action))
		})
	}
	mux.HandleFunc("POST /_sim/instances/{id}/rejoin", func(w http.ResponseWriter, r *http.Request) { finish(w, s.RejoinNode(r.PathValue("id"))) })
	mux.HandleFunc("POST /_sim/instances/{id}/leave", s.postLeave)
	mux.HandleFunc("PUT /_sim/groups/{name}/config", s.putGroupConfig)
	mux.HandleFunc("POST /_sim/groups/{name}/azrebalance", s.postRebalance)
	mux.HandleFunc("POST /_sim/instances/{id}/spot-interruption", func(w http.ResponseWriter, r *http.Request) { finish(w, s.InterruptSpot(r.PathValue("id"))) })
	mux.HandleFunc("POST /_sim/instances/{id}/rebalance-recommendation", func(w http.ResponseWriter, r *http.Request) {
		finish(w, s.RecommendRebalance(r.PathValue("id")))
	})
	mux.HandleFunc("POST /_sim/instances/{id}/scheduled-event", s.postScheduledEvent)
	mux.HandleFunc("POST /_sim/alarms", s.postAlarm)
	mux.HandleFunc("POST /_sim/events", s.postEvent)
	mux.HandleFunc("PUT /_sim/stacks/{name}", s.putStack)
	mux.HandleFunc("GET /_sim/queues/{name}", s.getMessages)
	mux.HandleFunc("POST /_sim/tokenreview", s.reviewToken)
	return mux
}

// since answers with what came after the sequence number in the query.
func since(get func(int) any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		n := 0
		if text := r.URL.Query().Get("since"); text != "" {
			var err error
			if n, err = strconv.Atoi(text); err != nil {
				refuse(w, fmt.Errorf("reading since: %w", err))
				return
			}
		}
		writeJSON(w, http.StatusOK, get(n))
	}
}

func (s *Sim) settings() map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cfg.settings()
}

func (s *Sim) putConfig(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		refuse(w, err)
		return
	}
	var merge error
	err = s.Configure(func(c *Config) {
		before := *c
		if merge = c.merge(body); merge != nil {
			*c = before
		}
	})
	if merge != nil {
		err = merge
	}
	if err != nil {
		refuse(w, err)
		return
	}
	writeJSON(w, http.StatusOK, s.settings())
}

func (s *Sim) postFaults(w http.ResponseWriter, r *http.Request) {
	var raw json.RawMessage
	if err := readJSON(w, r, &raw); err != nil {
		refuse(w, err)
		return
	}
	if !bytes.HasPrefix(bytes.TrimSpace(raw), []byte("[")) {
		raw = append(append([]byte("["), raw...), ']')
	}
	var faults []Fault
	if err := strictJSON(bytes.NewReader(raw), &faults); err != nil {
		refuse(w, err)
		return
	}
	finish(w, s.AddFaults(faults...))
}

func (s *Sim) postInstance(w http.ResponseWriter, r *http.Request) {
	var spec InstanceSpec
	if err := readJSON(w, r, &spec); err != nil {
		refuse(w, err)
		return
	}
	id, err := s.AddInstance(spec)
	if err != nil {
		refuse(w, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"instanceId": id})
}

func (s *Sim) postScheduledEvent(w http.ResponseWriter, r *http.Request) {
	var e ScheduledEvent
	if err := readJSON(w, r, &e); err != nil {
		refuse(w, err)
		return
	}
	finish(w, s.ScheduleEvent(r.PathValue("id"), e))
}

func (s *Sim) patchInstance(w http.ResponseWriter, r *http.Request) {
	var change struct {
		RootDeviceType string       `json:"rootDeviceType"`
		Lifecycle      string       `json:"lifecycle"`
		Volumes        []VolumeSpec `json:"volumes"`
		NoTermination  *bool        `json:"disableApiTermination"`
		NoStop         *bool        `json:"disableApiStop"`
		LaunchTime     time.Time    `json:"launchTime"`
	}
	if err := readJSON(w, r, &change); err != nil {
		refuse(w, err)
		return
	}
	id := r.PathValue("id")
	err := s.ChangeInstance(id, change.RootDeviceType, change.Lifecycle)
	if err == nil {
		err = s.AttachVolumes(id, change.Volumes...)
	}
	if err == nil && change.NoTermination != nil {
		err = s.ProtectInstance(id, *change.NoTermination)
	}
	if err == nil && change.NoStop != nil {
		err = s.ProtectFromStop(id, *change.NoStop)
	}
	if err == nil && !change.LaunchTime.IsZero() {
		err = s.BackdateInstance(id, change.LaunchTime)
	}
	finish(w, err)
}

func (s *Sim) postLeave(w http.ResponseWriter, r *http.Request) {
	var how struct {
		NodeLeaves string `json:"nodeLeaves"`
	}
	if err := readJSON(w, r, &how); err != nil {
		refuse(w, err)
		return
	}
	finish(w, s.LeaveNode(r.PathValue("id"), how.NodeLeaves))
}

func (s *Sim) postRebalance(w http.ResponseWriter, r *http.Request) {
	acted, err := s.Rebalance(r.PathValue("name"))
	if err != nil {
		refuse(w, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]bool{"acted": acted})
}

func (s *Sim) postAlarm(w http.ResponseWriter, r *http.Request) {
	var a Alarm
	if err := readJSON(w, r, &a); err != nil {
		refuse(w, err)
		return
	}
	finish(w, s.RaiseAlarm(a))
}

// postEvent takes the body as it is, and answers with what the rules did with it.
func (s *Sim) postEvent(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		refuse(w, err)
		return
	}
	deliveries, err := s.PutEvent(string(body))
	if err != nil {
		refuse(w, err)
		return
	}
	writeJSON(w, http.StatusOK, deliveries)
}

func (s *Sim) putStack(w http.ResponseWriter, r *http.Request) {
	var stack struct {
		Template   string            `json:"template"`
		Parameters map[string]string `json:"parameters"`
	}
	if err := readJSON(w, r, &stack); err != nil {
		refuse(w, err)
		return
	}
	out, err := s.LoadTemplate(r.PathValue("name"), []byte(stack.Template), stack.Parameters)
	if err != nil {
		refuse(w, err)
		return
	}
	writeJSON(w, http.StatusOK, out)
}

func (s *Sim) getMessages(w http.ResponseWriter, r *http.Request) {
	messages, err := s.Messages(r.PathValue("name"))
	if err != nil {
		refuse(w, err)
		return
	}
	writeJSON(w, http.StatusOK, messages)
}

// readJSON refuses fields that nothing reads: a typing error in a test's
// control call would otherwise make the test mean something else.
func readJSON(w http.ResponseWriter, r *http.Request, into any) error {
	return strictJSON(http.MaxBytesReader(w, r.Body, maxBody), into)
}

func strictJSON(from io.Reader, into any) error {
	dec := json.NewDecoder(from)
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("reading JSON: %w", err)
	}
	return nil
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

func refuse(w http.ResponseWriter, err error) {
	writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
}

func done(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) }

func finish(w http.ResponseWriter, err error) {
	if err != nil {
		refuse(w, err)
		return
	}
	done(w)
}
