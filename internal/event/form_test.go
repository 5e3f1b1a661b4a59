package event

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// grammar says in the language of regular expressions what each form takes, besides what isPlain and a calendar say. Sensors
// have the same language.
var grammar = map[string]struct {
	form     form
	pattern  string
	examples []string
}{
	"instance":  {instanceID, `^i-[0-9a-f]{8}([0-9a-f]{9})?$`, []string{"i-0a1b2c3d", "i-0a1b2c3d4e5f60718"}},
	"account":   {accountID, `^[0-9]{12}$`, []string{"111122223333"}},
	"region":    {regionName, `^[a-z]{2,}(-[a-z]+)+-[0-9]{1,2}$`, []string{"eu-central-1", "us-gov-west-1", "ap-southeast-12"}},
	"hook":      {hookName, `^[A-Za-z0-9_/-]{1,255}$`, []string{"a", "drain/Hook_1-x"}},
	"group":     {groupName, `^[\pL\pM\pN\pP\pS ]{1,255}$`, []string{"workers", "Größe 5 / β-é", "a,b"}},
	"alarm":     {alarmName, `^[\pL\pM\pN\pP\pS ]{1,255}$`, []string{"CPU > 90 %", "e\u0301 €"}},
	"alarm ARN": {alarmARN, `^arn:aws[a-z-]*:cloudwatch:([a-z0-9-]+):([0-9]{12}):alarm:[\pL\pM\pN\pP\pS ]{1,255}$`, []string{"arn:aws:cloudwatch:eu-central-1:111122223333:alarm:a:b", "arn:aws-us-gov:cloudwatch:us-gov-west-1:111122223333:alarm:CPU > 90 %"}},
	"time": {rfc3339, `^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`,
		[]string{"2026-01-31T22:15:00Z", "2026-01-31T22:15:00.123456789+23:59", "2026-01-31T22:15:00-00:00"}},
	"CloudWatch's time": {cloudWatchTime, `^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])$`,
		[]string{"2026-01-31T22:15:00Z", "2026-01-31T22:15:00.000+0000", "2026-01-31T22:15:00.1-12:30"}},
	"node":            {nodeName, `^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`, []string{"n", "ip-10-0-1-2.eu-central-1.compute.internal"}},
	"parameter":       {parameterValue, `^[ -~]{1,1000}$`, []string{"app=batch,!x"}},
	"code":            {healthCode, `^[0-9A-Z_]{1,100}$`, []string{"AWS_EC2_INSTANCE_RETIREMENT_SCHEDULED"}},
	"idempotency key": {idempotencyKey, `^[!-~]{0,255}$`, []string{"", "a-1"}},
}

func TestFormsTakeTheirExamples(t *testing.T) {
	for name, g := range grammar {
		for _, example := range g.examples {
			if !g.form.fits(example) {
				t.Errorf("%s: %q does not fit", name, example)
			}
		}
	}
}

// Each example with a few characters changed, left out, doubled or put in, and strings about as long as may be.
func TestFormsTakeWhatTheirGrammarSays(t *testing.T) {
	characters := []rune("aZ09fgé\u0301 \u00a0\u200b\n\t.,:;+-_/{}~\x7f\u2028€")
	for name, g := range grammar {
		t.Run(name, func(t *testing.T) {
			pattern := regexp.MustCompile(g.pattern)
			rapid.Check(t, func(t *rapid.T) {
				text := []rune(rapid.SampledFrom(g.examples).Draw(t, "example"))
				for range rapid.IntRange(0, 3).Draw(t, "changes") {
					at := rapid.IntRange(0, len(text)).Draw(t, "at")
					length := rapid.SampledFrom([]int{0, 1, 1, 1, 250, 990}).Draw(t, "length")
					replaced := min(rapid.IntRange(0, 1).Draw(t, "replaced"), len(text)-at)
					filling := slices.Repeat([]rune{rapid.SampledFrom(characters).Draw(t, "character")}, length)
					text = slices.Replace(text, at, at+replaced, filling...)
				}
				s := string(text)
				want := pattern.MatchString(s)
				if name != "idempotency key" { // which is only hashed
					want = want && isPlain(s)
				}
				if got := g.form.fits(s); got != want && (!strings.Contains(name, "time") || got) {
					t.Errorf("%q: fits %t, the grammar says %t", s, got, want)
				}
			})
		})
	}
}

func TestFormsRefuse(t *testing.T) {
	for _, refused := range []struct {
		form form
		text string
	}{
		{rfc3339, "2026-02-31T22:15:00Z"}, {rfc3339, "2026-01-31T24:15:00Z"}, {rfc3339, "2026-01-31T2:15:00Z"}, {rfc3339, "2026-01-31T22:15:00,5Z"},
		{rfc3339, "2026-01-31T22:15:00+0000"}, {cloudWatchTime, "2026-02-31T22:15:00.000+0000"}, {rfc3339, "2026-01-31T22:15:00"}, {rfc3339, ""},
		{groupName, string(utf8.RuneError)}, {groupName, "a\xff"}, {parameterValue, "{{x}}"}, {alarmARN, "arn:aws:cloudwatch:eu-central-1:111122223333:alarm:"},
	} {
		if refused.form.fits(refused.text) {
			t.Errorf("%q fits as %s", refused.text, refused.form.says)
		}
	}
}
