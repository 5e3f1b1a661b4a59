package event

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// whichNode are the parameters that every request may set: which node, and whether only to rehearse. They can make nothing worse
// than the recycle of one node with the installation's settings.
var whichNode = []string{"instance-id", "node", "dry-run"}

// RequestParameters are those that an installation may allow besides: the others of recycle-node, without fleet, which is for the
// fleets' own recycles, and without cluster and region, as a request is checked against this cluster.
func RequestParameters() []string {
	return []string{
		"label-selector", "namespace", "do-not-disrupt", "action", "evict", "max-wait", "on-timeout",
		"evict-timeout", "window", "replacement-timeout", "log-level",
	}
}

var (
	nodeName       = form{"the name of a Node", isNodeName}
	parameterValue = form{"a string of 1 to 1000 printable ASCII characters without {{", func(s string) bool {
		return isAll(s, 1, 1000, func(r rune) bool { return ' ' <= r && r <= '~' }) && isPlain(s)
	}}
	idempotencyKey = form{"at most 255 printable ASCII characters without blanks", func(s string) bool {
		return isAll(s, 0, 255, func(r rune) bool { return '!' <= r && r <= '~' })
	}}
)

func isNodeName(text string) bool {
	return isAll(text, 1, 253, func(r rune) bool { return lower(r) || digit(r) || r == '.' || r == '-' }) && strings.Trim(text, ".-") == text
}

// DecideRequest says what a request to the webhook starts: the recycle of one node. body is an object with the request's own body
// and its header Idempotency-Key: {"request": {…}, "idempotencyKey": "…"}. A request with the same key and body is the same one;
// without a key each delivery, which receipt tells apart, is one of its own. The error is a *DroppedError.
func (r Receiver) DecideRequest(body []byte, receipt string) ([]Decision, error) {
	top, err := parse(body, MaxBody)
	if err != nil {
		return nil, err
	}
	top = top.about("webhook")
	key := top.text("idempotencyKey", form{})
	if !idempotencyKey.fits(key) {
		top.drop("the header Idempotency-Key is %s, expected %s", shown(key), idempotencyKey.says)
	}
	request := top.object("request")
	request.path = ""
	allowed := slices.Concat(whichNode, r.Parameters)
	parameters := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(request.fields)) {
		if !slices.Contains(allowed, name) {
			top.drop("%s is no parameter that a request may set, expected some of %s", shown(name), strings.Join(allowed, ", "))
		}
		parameters[name] = request.text(name, parameterValue)
	}
	switch id, node := parameters["instance-id"], parameters["node"]; {
	case (id == "") == (node == ""):
		top.drop("expected exactly one of instance-id and node")
	case id != "":
		request.text("instance-id", instanceID)
	default:
		request.text("node", nodeName)
	}
	if request.has("dry-run") {
		request.oneOf("dry-run", "true", "false")
	}
	identity := []string{receipt}
	if key != "" {
		canonical, _ := json.Marshal(parameters) // strings always encode, with sorted keys
		identity = []string{string(canonical), key}
	}
	decision := Decision{Kind: Request, Template: RecycleQueued, Name: name("webhook", identity...), Parameters: parameters}
	if parameters["dry-run"] == "true" { // it changes nothing, so it waits for nobody
		decision.Template = RecycleNode
	} else {
		parameters["reason"] = "requested over HTTP"
	}
	return top.end(decision)
}
