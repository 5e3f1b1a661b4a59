package event

import (
	"regexp"
	"strings"
	"time"
)

// form is what a string has to look like. The zero form takes any.
type form struct {
	pattern *regexp.Regexp
	says    string
	also    func(string) bool
}

func (f form) fits(text string) bool {
	return (f.pattern == nil || f.pattern.MatchString(text)) && (f.also == nil || f.also(text))
}

func (f form) expected(otherwise string) string {
	if f.says == "" {
		return otherwise
	}
	return f.says
}

// The patterns are in a grammar that Sensors have too (theirs is also Go's), so that both take the same.
var (
	instanceID = form{pattern: regexp.MustCompile(`^i-[0-9a-f]{8}([0-9a-f]{9})?$`), says: "i- and 8 or 17 hexadecimal digits"}
	accountID  = form{pattern: regexp.MustCompile(`^[0-9]{12}$`), says: "an account of 12 digits"}
	regionName = form{pattern: regexp.MustCompile(`^[a-z]{2,}(-[a-z]+)+-[0-9]{1,2}$`), says: "a region such as eu-central-1"}

	// https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_LifecycleHook.html
	hookName = form{pattern: regexp.MustCompile(`^[A-Za-z0-9_/-]{1,255}$`), says: "the name of a hook: letters, digits, - _ and /, at most 255"}
	// https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_CompleteLifecycleAction.html
	hookToken = form{pattern: regexp.MustCompile(`^[0-9A-Za-z-]{36}$`), says: "a token of 36 letters, digits and hyphens"}

	// Names of groups and alarms can have nearly any character (https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_AutoScalingGroup.html,
	// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html); those that nobody can see are
	// left out, so are those that a decoder puts in the place of what it cannot read.
	groupName = form{pattern: visible, says: "the name of a group, at most 255 visible characters without {{", also: plain}
	alarmName = form{pattern: visible, says: "the name of an alarm, at most 255 visible characters without {{", also: plain}

	// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatch.html
	alarmARN = form{pattern: regexp.MustCompile(`^arn:aws[a-z-]*:cloudwatch:([a-z0-9-]+):([0-9]{12}):alarm:[\pL\pM\pN\pP\pS ]{1,255}$`), says: "the ARN of an alarm", also: plain}

	rfc3339 = form{pattern: regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`),
		says: "an RFC 3339 time such as 2026-01-31T22:15:00Z", also: parses(time.RFC3339)}
	// CloudWatch writes its zone without the colon of RFC 3339.
	cloudWatchTime = form{pattern: regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])$`),
		says: "a time such as 2026-01-31T22:15:00.000+0000", also: parses(time.RFC3339, "2006-01-02T15:04:05Z0700")}

	visible = regexp.MustCompile(`^[\pL\pM\pN\pP\pS ]{1,255}$`)
)

// plain is false of what Argo would take for a placeholder, in whatever parameter it stands, and of U+FFFD, which stands for
// something that could not be read.
func plain(text string) bool {
	return !strings.Contains(text, "{{") && !strings.Contains(text, "}}") && !strings.Contains(text, "\uFFFD")
}

// parses takes times that exist, such as no 31 February. The pattern says the form: time.Parse alone takes more than RFC 3339.
func parses(layouts ...string) func(string) bool {
	return func(text string) bool {
		for _, layout := range layouts {
			if _, err := time.Parse(layout, text); err == nil {
				return true
			}
		}
		return false
	}
}

// asRFC3339 puts the colon into CloudWatch's zone.
func asRFC3339(text string) string {
	if n := len(text) - 5; n > 0 && strings.ContainsAny(text[n:n+1], "+-") {
		return text[:n+3] + ":" + text[n+3:]
	}
	return text
}
