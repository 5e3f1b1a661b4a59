package contract

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// refusedRun wants a run that changes nothing and says why.
func refusedRun(t *testing.T, s *simulated, a account, want string) {
	t.Helper()
	err := a.run(t.Context(), func(context.Context, *fixture) { t.Error("the checks were run") })
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	if calls := s.changes(); len(calls) > 0 {
		t.Errorf("it called %v", calls)
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name, want string
		prepare    func(*testing.T, *simulated, *account)
	}{
		{"the answer is no", "the answer was not yes", func(t *testing.T, _ *simulated, a *account) {
			a.ask = func(question string) error {
				return ask(&conversation{strings.NewReader("no\n"), io.Discard}, question)
			}
		}},
		{"nobody answers", "the answer was not yes", func(t *testing.T, _ *simulated, a *account) {
			a.ask = func(question string) error { return ask(&conversation{strings.NewReader(""), io.Discard}, question) }
		}},
		{"there is no subnet", "CONTRACT_SUBNET", func(_ *testing.T, _ *simulated, a *account) { a.subnet = "" }},
		{"the subnet is none", "CONTRACT_SUBNET", func(_ *testing.T, _ *simulated, a *account) { a.subnet = "vpc-0123456789abcdef0" }},
		{"there is no region", "AWS_REGION", func(_ *testing.T, _ *simulated, a *account) { a.cfg.Region = "" }},
		{"the credentials are nobody's", "whose credentials", func(_ *testing.T, s *simulated, _ *account) { s.deny["GetCallerIdentity"] = true }},
		{"groups cannot be read", "looking for other runs", func(_ *testing.T, s *simulated, _ *account) { s.deny["DescribeAutoScalingGroups"] = true }},
		{"instances cannot be read", "looking for other runs", func(_ *testing.T, s *simulated, _ *account) { s.deny["DescribeInstances"] = true }},
		{"an instance of a run that was killed is there", "aws ec2 terminate-instances --region eu-central-1 --instance-ids i-", func(t *testing.T, s *simulated, _ *account) {
			if _, err := s.sim.AddInstance(awssim.InstanceSpec{Tags: map[string]string{tagKey: "other"}}); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(c.name+": nothing is changed", func(t *testing.T) {
			s := newSimulated(t, nil)
			a := s.account()
			c.prepare(t, s, &a)
			refusedRun(t, s, a, c.want)
		})
	}
}

func TestGroupOfAnotherRun(t *testing.T) {
	s := newSimulated(t, nil)
	err := s.account().run(t.Context(), func(ctx context.Context, other *fixture) {
		a := s.account()
		before := len(s.changes())
		err := a.run(ctx, func(context.Context, *fixture) { t.Error("the checks were run") })
		if err == nil || !strings.Contains(err.Error(), groupCommand("eu-central-1", other.name())) || len(s.changes()) != before {
			t.Errorf("got %v after %v, want a refusal that names %s", err, s.changes()[before:], other.name())
		}
		a.beside = true
		ran := false
		if err := a.run(ctx, func(context.Context, *fixture) { ran = true }); err != nil || !ran {
			t.Errorf("beside the other it ran: %t, %v", ran, err)
		}
		if g, err := other.describe(ctx); err != nil || g == nil || len(g.Instances) != 1 {
			t.Errorf("the group of the other is %v, %v, want it as it was", g, err)
		}
	})
	if err != nil {
		t.Error(err)
	}
	s.nothingRemains(t)
}

func TestQuestion(t *testing.T) {
	s := newSimulated(t, nil)
	a := s.account()
	var asked bytes.Buffer
	a.ask = func(question string) error {
		if calls := s.changes(); len(calls) > 0 {
			t.Errorf("before the question it called %v", calls)
		}
		return ask(&conversation{strings.NewReader("yes\n"), &asked}, question)
	}
	if err := a.run(t.Context(), func(context.Context, *fixture) {}); err != nil {
		t.Fatal(err)
	}
	for _, said := range []string{"000000000000", "eu-central-1", "user/sandbox", a.subnet, "t4g.nano", "0.01 USD", "launch template", "Type yes to begin: "} {
		if !strings.Contains(asked.String(), said) {
			t.Errorf("the question does not say %q:\n%s", said, &asked)
		}
	}
	s.nothingRemains(t)
}

// conversation is a terminal.
type conversation struct {
	io.Reader
	io.Writer
}
