package event

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// form is what a string has to look like. The zero form takes any.
//
// Forms are code, not regular expressions: those are compiled when the program starts, whatever step it runs, and a count
// such as {1,255} over classes of Unicode takes 20 MB.
type form struct {
	says string
	is   func(string) bool
}

func (f form) fits(text string) bool { return f.is == nil || f.is(text) }

func (f form) expected(otherwise string) string {
	if f.says == "" {
		return otherwise
	}
	return f.says
}

var (
	instanceID = form{"i- and 8 or 17 hexadecimal digits", isInstanceID}
	accountID  = form{"an account of 12 digits", isAccount}
	regionName = form{"a region such as eu-central-1", isRegion}

	// https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_LifecycleHook.html
	hookName = form{"the name of a hook: letters, digits, - _ and /, at most 255", func(s string) bool { return isAll(s, 1, 255, hookRune) }}
	// Names of groups and alarms can have nearly any character (https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_AutoScalingGroup.html,
	// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html); those that nobody can see are
	// left out, so are those that a decoder puts in the place of what it cannot read.
	groupName = form{"the name of a group, at most 255 visible characters without {{", isVisible}
	alarmName = form{"the name of an alarm, at most 255 visible characters without {{", isVisible}

	visible    = form{"at most 255 visible characters without {{", isVisible}
	healthCode = form{"a code such as AWS_EC2_INSTANCE_RETIREMENT_SCHEDULED", func(s string) bool {
		return isAll(s, 1, 100, func(r rune) bool { return digit(r) || ('A' <= r && r <= 'Z') || r == '_' })
	}}

	alarmARN = form{"the ARN of an alarm", func(s string) bool { _, _, ok := parseAlarmARN(s); return ok }}

	rfc3339 = form{"an RFC 3339 time such as 2026-01-31T22:15:00Z", isRFC3339}
	// CloudWatch writes its zone without the colon of RFC 3339.
	cloudWatchTime = form{"a time such as 2026-01-31T22:15:00.000+0000", func(s string) bool { return isRFC3339(asRFC3339(s)) }}
)

func lower(r rune) bool     { return 'a' <= r && r <= 'z' }
func digit(r rune) bool     { return '0' <= r && r <= '9' }
func hexDigit(r rune) bool  { return digit(r) || ('a' <= r && r <= 'f') }
func tokenRune(r rune) bool { return digit(r) || lower(r) || ('A' <= r && r <= 'Z') || r == '-' }
func hookRune(r rune) bool  { return tokenRune(r) || r == '_' || r == '/' }

// isAll reports that the text has from least to most characters, each of a class.
func isAll(text string, least, most int, class func(rune) bool) bool {
	n := utf8.RuneCountInString(text)
	return least <= n && n <= most && !strings.ContainsFunc(text, func(r rune) bool { return !class(r) })
}

func isInstanceID(text string) bool {
	digits, prefixed := strings.CutPrefix(text, "i-")
	return prefixed && (isAll(digits, 8, 8, hexDigit) || isAll(digits, 17, 17, hexDigit))
}

func isAccount(text string) bool { return isAll(text, 12, 12, digit) }

func isRegion(text string) bool {
	parts := strings.Split(text, "-")
	last := len(parts) - 1
	if last < 2 || !isAll(parts[0], 2, len(text), lower) || !isAll(parts[last], 1, 2, digit) {
		return false
	}
	for _, part := range parts[1:last] {
		if !isAll(part, 1, len(text), lower) {
			return false
		}
	}
	return true
}

func isVisible(text string) bool { return isAll(text, 1, 255, unicode.IsPrint) && isPlain(text) }

// isPlain is false of what Argo would take for a placeholder, in whatever parameter it stands, and of U+FFFD, which stands
// for something that could not be read.
func isPlain(text string) bool {
	return !strings.Contains(text, "{{") && !strings.Contains(text, "}}") && !strings.ContainsRune(text, utf8.RuneError)
}

// parseAlarmARN reads arn:PARTITION:cloudwatch:REGION:ACCOUNT:alarm:NAME, where the name may have colons
// (https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatch.html).
func parseAlarmARN(text string) (region, account string, ok bool) {
	parts := strings.SplitN(text, ":", 7)
	if len(parts) != 7 || parts[0] != "arn" || parts[2] != "cloudwatch" || parts[5] != "alarm" {
		return "", "", false
	}
	partition, aws := strings.CutPrefix(parts[1], "aws")
	region, account = parts[3], parts[4]
	ok = aws && isAll(partition, 0, len(text), func(r rune) bool { return lower(r) || r == '-' }) &&
		isAll(region, 1, len(text), func(r rune) bool { return lower(r) || digit(r) || r == '-' }) && isAccount(account) &&
		isVisible(parts[6]) && isPlain(text)
	return region, account, ok
}

// isRFC3339 takes times that exist, such as no 31 February. time.Parse alone takes more than RFC 3339: hours of one digit,
// fractions after a comma.
func isRFC3339(text string) bool {
	const seconds = "0000-00-00T00:00:00"
	if len(text) < len(seconds) || !masked(text[:len(seconds)], seconds) {
		return false
	}
	zone := text[len(seconds):]
	if fraction, cut := strings.CutPrefix(zone, "."); cut {
		zone = strings.TrimLeftFunc(fraction, digit)
		if n := len(fraction) - len(zone); n < 1 || n > 9 {
			return false
		}
	}
	if zone != "Z" && ((!masked(zone, "+00:00") && !masked(zone, "-00:00")) || zone[1:3] > "23" || zone[4:] > "59") {
		return false
	}
	_, err := time.Parse(time.RFC3339, text)
	return err == nil
}

// masked reports that the text is the mask with any digits in the place of zeros.
func masked(text, mask string) bool {
	if len(text) != len(mask) {
		return false
	}
	for i := range len(mask) {
		if text[i] != mask[i] && (mask[i] != '0' || !digit(rune(text[i]))) {
			return false
		}
	}
	return true
}

// asRFC3339 puts the colon into CloudWatch's zone.
func asRFC3339(text string) string {
	if n := len(text) - 5; n > 0 && strings.ContainsAny(text[n:n+1], "+-") {
		return text[:n+3] + ":" + text[n+3:]
	}
	return text
}
