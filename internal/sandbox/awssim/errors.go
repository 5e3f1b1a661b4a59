package awssim

import (
	"fmt"
	"net/http"
	"strings"
)

// apiError is an error as AWS answers it.
type apiError struct {
	Code    string
	Message string
	Status  int
}

func (e *apiError) Error() string { return e.Code + ": " + e.Message }

func fail(code, format string, args ...any) *apiError {
	return &apiError{Code: code, Message: fmt.Sprintf(format, args...), Status: http.StatusBadRequest}
}

func validation(format string, args ...any) *apiError {
	return fail("ValidationError", format, args...)
}

func groupNotFound(name string) *apiError {
	return validation("AutoScalingGroup name not found - AutoScalingGroup '%s' not found", name)
}

func notManaged(id string) *apiError {
	return validation("Instance Id not found - No managed instance found for instance ID: %s", id)
}

func notInGroup(id, group string) *apiError {
	return validation("The instance %s is not part of Auto Scaling group %s.", id, group)
}

// sizes is the error of a request that would leave the bounds of a group; verb
// is such as "place into standby".
func sizes(g *group, verb string, n int) *apiError {
	plural := ""
	if n != 1 {
		plural = "s"
	}
	return validation("AutoScalingGroup %s has min-size=%d, max-size=%d, and desired-size=%d. To %s %d instance%s, please update the AutoScalingGroup sizes appropriately.",
		g.name, g.min, g.max, g.desired, verb, n, plural)
}

func activityInProgress(a *activity) *apiError {
	return fail("ScalingActivityInProgress", "Scaling activity %s is in progress and blocks this action", a.id)
}

func missingParameter(service, name string) *apiError {
	if service == "ec2" {
		return fail("MissingParameter", "The request must contain the parameter %s", name)
	}
	member := strings.ToLower(name[:1]) + name[1:]
	return validation("1 validation error detected: Value null at '%s' failed to satisfy constraint: Member must not be null", member)
}
