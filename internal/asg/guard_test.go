package asg

import (
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// A call that is added and changes something is easily left out of Guard.
func TestTheGuardChecksEveryChange(t *testing.T) {
	free := New(&autoscaling.Client{}, &ec2.Client{})
	guarded := free
	guarded.Guard("prod")
	for _, calls := range [][2]any{{free.Writer, guarded.Writer}, {free.Instances, guarded.Instances}} {
		was, is := reflect.ValueOf(calls[0]), reflect.ValueOf(calls[1])
		for i := range was.NumField() {
			name, checked := was.Type().Field(i).Name, was.Field(i).Pointer() != is.Field(i).Pointer()
			if reads := strings.HasPrefix(name, "Describe"); checked == reads {
				t.Errorf("%s is checked: %t", name, checked)
			}
		}
	}
}
