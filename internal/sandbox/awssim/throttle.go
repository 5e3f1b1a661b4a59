package awssim

import (
	"math"
	"time"
)

// bucket is the token bucket that all callers of a service in an account and
// region share.
type bucket struct {
	tokens float64
	filled time.Time
}

// throttle takes a token, or says what AWS says when there is none.
func (s *Sim) throttle(service string) error {
	var rate float64
	var burst int
	var refusal apiError
	switch service {
	case "autoscaling":
		rate, burst = s.cfg.AutoScalingRate, s.cfg.AutoScalingBurst
		refusal = apiError{"Throttling", messageOf("Throttling"), statusOf("Throttling")}
	case "ec2":
		rate, burst = s.cfg.EC2Rate, s.cfg.EC2Burst
		refusal = apiError{"RequestLimitExceeded", messageOf("RequestLimitExceeded"), statusOf("RequestLimitExceeded")}
	}
	if rate == 0 {
		return nil
	}
	size := math.Max(float64(burst), 1)
	b := s.buckets[service]
	if b == nil {
		b = &bucket{tokens: size, filled: time.Now()}
		s.buckets[service] = b
	}
	now := time.Now()
	b.tokens = math.Min(size, b.tokens+rate*now.Sub(b.filled).Seconds())
	b.filled = now
	if b.tokens < 1 {
		return &refusal
	}
	b.tokens--
	return nil
}
