package docs_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const (
	refusals = "Refused: nothing was changed"
	waits    = "Waiting: exit code 75"
	failures = "Failed during the recycle"
	warnings = "Warnings"
)

// tables are those where a text of that kind may be explained, the likeliest first. An error can be both: refused in one
// step, met on the way in another.
func (k kind) tables() []string {
	switch k {
	case warning:
		return []string{warnings}
	case waiting:
		return []string{waits, failures}
	default:
		return []string{failures, refusals, waits}
	}
}

func (k kind) String() string { return [...]string{"error", "warning", "status"}[k] }

// row is a line of a table: each text that it quotes, with … for what varies.
type row struct {
	heading string
	quoted  []string
}

func rowsOfTroubleshooting(t *testing.T) (rows []row) {
	t.Helper()
	page := read(t, "docs/troubleshooting.md")
	code := regexp.MustCompile("`([^`]+)`")
	for _, heading := range []string{refusals, waits, failures, warnings} {
		for _, cells := range table(t, page, heading) {
			r := row{heading: heading}
			for _, m := range code.FindAllStringSubmatch(cells[0], -1) {
				r.quoted = append(r.quoted, m[1])
			}
			if len(r.quoted) == 0 || len(cells) != 3 || cells[1] == "" {
				t.Errorf("%s: a row quotes what is said in `…`, then comes why, then what to do: %q", heading, cells)
			}
			rows = append(rows, r)
		}
	}
	return rows
}

// quotes reports whether a quotation is taken from a text: its parts are there, in that order.
func quotes(quoted, text string) bool {
	for part := range strings.SplitSeq(quoted, "…") {
		_, rest, found := strings.Cut(text, strings.TrimPrefix(part, " "))
		if !found {
			return false
		}
		text = rest
	}
	return true
}

// fewest is how many characters a quotation of a part needs to stand for a text: shorter ones are found in many. A text that
// is itself no longer than that is quoted whole.
const fewest = 14

func (r row) explains(s saying) bool {
	for _, heading := range s.kind.tables() {
		for _, quoted := range r.quoted {
			long := len(strings.ReplaceAll(quoted, "…", "")) >= fewest
			if heading == r.heading && (quoted == s.text || (long && quotes(quoted, s.text))) {
				return true
			}
		}
	}
	return false
}

func TestEveryErrorOfTheProgramIsExplained(t *testing.T) {
	rows := rowsOfTroubleshooting(t)
	said := parseProgram(t, "cli", "recycle", "fleet", "asg", "node", "drain", "eks", "claim", "argo", "dispatch", "window").sayings(t)
	if len(said) < 50 {
		t.Errorf("found %d errors and warnings in the source: does the test still read them?", len(said))
	}
	for _, s := range said {
		explained := false
		for _, r := range rows {
			explained = explained || r.explains(s)
		}
		if !explained {
			t.Errorf("%s: docs/troubleshooting.md does not explain this %s:\n\t%s\n%s", place(s.at), s.kind, s.text, s.remedy())
		}
	}
}

// remedy says what row to add to which table.
func (s saying) remedy() string {
	headings := make([]string, 0, 3)
	for _, heading := range s.kind.tables() {
		headings = append(headings, strconv.Quote(heading))
	}
	return fmt.Sprintf("Add a row beneath %s. It quotes what people will search for, %d characters or more, with … for what varies:\n\t| `%s` | why it happens | what to do |",
		strings.Join(headings, " or "), fewest, strings.Trim(s.text, "… :"))
}

// What the page quotes is what people search for: it has to be in the program.
func TestMessagesOfTroubleshootingAreTheProgramsOwn(t *testing.T) {
	texts := parseProgram(t, "asg", "awserr", "claim", "cli", "recycle", "fleet", "drain", "eks", "node", "poll", "argo", "dispatch", "window").texts()
	texts = append(texts, "is forbidden") // the API server's
	for _, r := range rowsOfTroubleshooting(t) {
		for _, quoted := range r.quoted {
			found := false
			for _, text := range texts {
				found = found || quotes(quoted, text)
			}
			if !found {
				t.Errorf("docs/troubleshooting.md, %q: nothing says %q any more: change the row, or take it out", r.heading, quoted)
			}
		}
	}
}
