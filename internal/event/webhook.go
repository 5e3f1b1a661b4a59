package event

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// webhookParameters are those of recycle-node that a request may set: all but fleet, which recycle-fleet sets.
var webhookParameters = []string{
	"instance-id", "node", "label-selector", "namespace", "cluster", "region", "action", "evict", "max-wait", "on-timeout",
	"evict-timeout", "do-not-disrupt", "replacement-timeout", "dry-run", "log-level",
}

var (
	nodeName       = form{"the name of a Node", isNodeName}
	parameterValue = form{"a string of at most 1000 printable ASCII characters without {{", func(s string) bool {
		return isAll(s, 0, 1000, func(r rune) bool { return ' ' <= r && r <= '~' }) && isPlain(s)
	}}
	idempotencyKey = form{"at most 255 printable ASCII characters without blanks", func(s string) bool {
		return isAll(s, 0, 255, func(r rune) bool { return '!' <= r && r <= '~' })
	}}
)

func isNodeName(text string) bool {
	return isAll(text, 1, 253, func(r rune) bool { return lower(r) || digit(r) || r == '.' || r == '-' }) && strings.Trim(text, ".-") == text
}

// Webhook says what a request to the webhook starts: the recycle of one node, with the body as its parameters. The same body
// starts nothing again, unless key, the header Idempotency-Key, is another one. The error is a *DroppedError.
func Webhook(body []byte, key string) (Decision, error) {
	o, err := parse(body, MaxRequest)
	if err != nil {
		return Decision{}, err
	}
	o = o.about("webhook")
	if !idempotencyKey.fits(key) {
		o.drop("the header Idempotency-Key is %s, expected %s", shown(key), idempotencyKey.says)
	}
	parameters := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(o.fields)) {
		if !slices.Contains(webhookParameters, name) {
			o.drop("%s is no parameter that a request may set, expected some of %s", shown(name), strings.Join(webhookParameters, ", "))
		}
		parameters[name] = o.text(name, parameterValue)
	}
	id, node := parameters["instance-id"], parameters["node"]
	switch {
	case (id == "") == (node == ""):
		o.drop("expected exactly one of instance-id and node")
	case id != "":
		o.text("instance-id", instanceID)
	default:
		o.text("node", nodeName)
	}
	return o.end(Decision{Template: RecycleNode, Name: webhookName(parameters, key), Parameters: parameters})
}

// webhookName hashes the parameters as JSON with sorted keys and without blanks, then, after a blank, the key if there is one.
func webhookName(parameters map[string]string, key string) string {
	var canonical bytes.Buffer
	encoder := json.NewEncoder(&canonical)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(parameters) // strings always encode
	text := strings.TrimSuffix(canonical.String(), "\n")
	if key != "" {
		text += " " + key
	}
	sum := sha256.Sum256([]byte(text))
	return "webhook-" + hex.EncodeToString(sum[:8])
}
