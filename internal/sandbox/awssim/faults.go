package awssim

import (
	"fmt"
	"net/http"
	"slices"
	"time"
)

// Kinds of [Fault].
const (
	FaultErrorBefore = "error-before"
	FaultErrorAfter  = "error-after"
	FaultDropBefore  = "drop-before"
	FaultDropAfter   = "drop-after"
	FaultDelay       = "delay"
)

// Fault is a mishap for the next Count calls of an action. Faults are consumed
// in the order given; an empty Service or Action matches any.
type Fault struct {
	Service string `json:"service,omitempty"`
	Action  string `json:"action,omitempty"`
	Count   int    `json:"count"` // 0 is taken as 1
	Kind    string `json:"kind"`
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
	Status  int    `json:"status,omitempty"` // 0: as AWS gives it for the code
	Delay   string `json:"delay,omitempty"`  // such as "5s"

	delay time.Duration
}

// AddFaults puts faults behind those already in wait.
func (s *Sim) AddFaults(faults ...Fault) error {
	ready := make([]*Fault, 0, len(faults))
	for _, f := range faults {
		if err := f.prepare(); err != nil {
			return err
		}
		ready = append(ready, &f)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, ready...)
	return nil
}

// Faults are those still in wait.
func (s *Sim) Faults() []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []Fault{}
	for _, f := range s.faults {
		out = append(out, *f)
	}
	return out
}

// ForgetFaults drops those in wait.
func (s *Sim) ForgetFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

func (f *Fault) prepare() error {
	if f.Count < 0 {
		return fmt.Errorf("reading fault: count %d is negative", f.Count)
	}
	f.Count = max(f.Count, 1)
	switch f.Kind {
	case FaultErrorBefore, FaultErrorAfter:
		if f.Code == "" {
			return fmt.Errorf("reading fault: kind %q needs a code", f.Kind)
		}
		if f.Status == 0 {
			f.Status = statusOf(f.Code)
		}
		if f.Status < 400 || f.Status > 599 {
			return fmt.Errorf("reading fault: status %d is no error", f.Status)
		}
		if f.Message == "" {
			f.Message = messageOf(f.Code)
		}
	case FaultDropBefore, FaultDropAfter:
	case FaultDelay:
		d, err := time.ParseDuration(f.Delay)
		if err != nil {
			return fmt.Errorf("reading fault: delay: %w", err)
		}
		f.delay = d
	default:
		return fmt.Errorf("reading fault: kind %q is none of error-before, error-after, drop-before, drop-after, delay", f.Kind)
	}
	return nil
}

func (f *Fault) apiError() *apiError {
	return &apiError{Code: f.Code, Message: f.Message, Status: f.Status}
}

// nextFault consumes one use of the first fault that fits.
func (s *Sim) nextFault(service, action string) *Fault {
	for i, f := range s.faults {
		if (f.Service == "" || f.Service == service) && (f.Action == "" || f.Action == action) {
			if f.Count--; f.Count == 0 {
				s.faults = slices.Delete(s.faults, i, i+1)
			}
			return f
		}
	}
	return nil
}

func statusOf(code string) int {
	switch code {
	case "ResourceContention", "InternalFailure", "InternalError", "InsufficientInstanceCapacity":
		return http.StatusInternalServerError
	case "ServiceUnavailable", "Unavailable", "RequestLimitExceeded":
		return http.StatusServiceUnavailable
	case "UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "ExpiredToken", "InvalidClientTokenId", "OptInRequired":
		return http.StatusForbidden
	}
	return http.StatusBadRequest
}

func messageOf(code string) string {
	switch code {
	case "Throttling":
		return "Rate exceeded"
	case "RequestLimitExceeded":
		return "Request limit exceeded."
	case "ResourceContention":
		return "You already have a pending update to an Amazon EC2 Auto Scaling resource (for example, an Auto Scaling group, instance, or load balancer)."
	case "ResourceInUse":
		return "The operation can't be performed because the resource is in use."
	case "UnauthorizedOperation":
		return "You are not authorized to perform this operation."
	case "ExpiredToken":
		return "The security token included in the request is expired"
	}
	return "An error was injected."
}
