package cli_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"github.com/eks-recycle/eks-recycle/internal/cli"
	"github.com/eks-recycle/eks-recycle/internal/sandbox/awssim"
)

// Permissions or credentials that end in mid-recycle must not let the exit handler say that all is well.
func TestSettleThatCannotLookFails(t *testing.T) {
	for _, code := range []string{"UnauthorizedOperation", "ExpiredToken"} {
		t.Run(code, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.done("standby", "--instance-id", w.ids[0])
				if err := w.sim.AddFaults(awssim.Fault{Service: "ec2", Action: "DescribeInstances", Kind: "error-before", Code: code}); err != nil {
					w.Fatal(err)
				}
				o := w.step("settle", "--instance-id", w.ids[0], "--workflow-status", "Failed")
				if o.code != 1 || !strings.Contains(o.result.Message, code) {
					w.Errorf("exit %d: %s", o.code, o.result.Message)
				}
			})
		})
	}
}

func TestSettleAfterARefusalHasNothingToDo(t *testing.T) {
	for name, flags := range map[string][]string{
		"an instance that EC2 does not know": {"--instance-id", "i-00000000000000000"},
		"a Node that is not there":           {"--node", "nosuch"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				if o := w.step("standby", flags...); o.code != 1 {
					w.Errorf("standby: exit %d", o.code)
				}
				o := w.step("settle", append(flags, "--workflow-status", "Failed")...)
				if o.code != 0 || !strings.Contains(o.result.Message, "nothing to settle") {
					w.Errorf("settle: exit %d: %s", o.code, o.result.Message)
				}
				time.Sleep(time.Hour)
				w.whole(w.ids...)
			})
		})
	}
}

// noCredentials is EC2 without anyone to sign for: not an answer of AWS, and nothing that waiting mends.
func noCredentials(context.Context, *ec2.DescribeInstancesInput, ...func(*ec2.Options)) (*ec2.DescribeInstancesOutput, error) {
	return nil, errors.New("get identity: get credentials: no EC2 IMDS role found")
}

func TestSettleWithoutCredentialsFails(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.done("standby", "--instance-id", w.ids[0])
		w.steps = &cli.Clients{AWS: w.awsAs("eks-recycle"), Kube: typed(w.kube), Region: w.region}
		w.steps.AWS.Instances.DescribeInstances = noCredentials
		if o := w.step("settle", "--instance-id", w.ids[0], "--workflow-status", "Failed"); o.code != 1 {
			w.Errorf("exit %d: %s", o.code, o.result.Message)
		}
	})
}
