package timeline

import "strings"

// words says things as one page does: times by its clock, names without what all nodes share, texts as long as there is room.
type words struct {
	clock
	domain  string // what all node names end in
	message int    // the most characters of a message in a tooltip
	reason  int    // of a reason in the list of failures
}

// room is how many bytes all messages together may take, and all reasons: a page is kept by Argo and mailed around.
const room = 500_000

func newWords(c clock, all []Recycle) words {
	messages, reasons := 1, 1
	for _, r := range all {
		messages += len(r.Steps) + len(r.Blocked)
		if r.Outcome == Failed {
			reasons++
		}
	}
	return words{
		clock: c, domain: commonDomain(nodes(all)),
		message: min(300, max(60, room/messages)), reason: min(2000, max(200, room/reasons)),
	}
}

func (w words) node(name string) string { return shortName(name, w.domain) }

// said adds what a step said to what is known of it.
func (w words) said(text, message string) string {
	if message == "" {
		return text
	}
	if w.domain != "" {
		message = strings.ReplaceAll(message, w.domain, "")
	}
	return text + ": " + clip(message, w.message)
}
