package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// deepest is how deep objects and lists may be within one another. The events have no more than nine levels.
const deepest = 32

// object is a JSON object on the way to a decision. The first thing about it that is not as expected is kept in dropped;
// what is read afterwards is empty. encoding/json's own reading into structs is too kind for this: it takes INSTANCEID for
// InstanceId, the last of two equal keys, and null for "".
type object struct {
	kind    string // of event, for people
	path    string // of this object within it
	fields  map[string]any
	dropped *fault
}

type fault struct{ err *DroppedError }

func (o object) about(kind string) object {
	o.kind = kind
	return o
}

func (o object) drop(format string, args ...any) {
	if o.dropped.err != nil {
		return
	}
	if o.kind != "" {
		format, args = "%s: "+format, append([]any{o.kind}, args...)
	}
	o.dropped.err = drop(format, args...)
}

// end returns the decisions, unless something was not as expected.
func (o object) end(all ...Decision) ([]Decision, error) {
	if o.dropped.err != nil {
		return nil, o.dropped.err
	}
	return all, nil
}

func (o object) has(key string) bool {
	_, found := o.fields[key]
	return found
}

func (o object) at(key string) string { return o.path + key }

// text reads a string that has to be there, in that form.
func (o object) text(key string, f form) string {
	value, found := o.fields[key]
	text, ok := value.(string)
	switch {
	case o.dropped.err != nil:
	case !found:
		o.drop("%s is missing, expected %s", o.at(key), f.expected("a string"))
	case !ok:
		o.drop("%s is %s, expected %s", o.at(key), typeOf(value), f.expected("a string"))
	case !f.fits(text):
		o.drop("%s is %s, expected %s", o.at(key), shown(text), f.expected("a string"))
	default:
		return text
	}
	return ""
}

// any reads a string that need not be there, of whatever form: it is only hashed or compared.
func (o object) any(key string) string {
	text, _ := o.fields[key].(string)
	return text
}

// oneOf reads a string that has to be one of those.
func (o object) oneOf(key string, allowed ...string) string {
	text := o.text(key, form{})
	if !slices.Contains(allowed, text) {
		o.drop("%s is %s, expected %s", o.at(key), shown(text), strings.Join(allowed, " or "))
		return ""
	}
	return text
}

// object reads an object that has to be there.
func (o object) object(key string) object {
	inner, found := o.optional(key)
	if !found {
		o.drop("%s is missing, expected an object", o.at(key))
	}
	return inner
}

// optional reads an object that need not be there.
func (o object) optional(key string) (inner object, found bool) {
	inner = object{kind: o.kind, path: o.at(key) + ".", dropped: o.dropped}
	value, found := o.fields[key]
	fields, ok := value.(map[string]any)
	if found && !ok {
		o.drop("%s is %s, expected an object", o.at(key), typeOf(value))
	}
	inner.fields = fields
	return inner, found
}

// list reads a list, which need not be there, of objects.
func (o object) list(key string) (all []object) {
	value, found := o.fields[key]
	elements, ok := value.([]any)
	if found && !ok {
		o.drop("%s is %s, expected a list", o.at(key), typeOf(value))
	}
	for i, element := range elements {
		path := fmt.Sprintf("%s[%d]", o.at(key), i)
		fields, ok := element.(map[string]any)
		if !ok {
			o.drop("%s is %s, expected an object", path, typeOf(element))
		}
		all = append(all, object{kind: o.kind, path: path + ".", fields: fields, dropped: o.dropped})
	}
	return all
}

// typeOf says what a value is that should be something else.
func typeOf(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case json.Number:
		return "a number"
	case string:
		return "a string"
	case []any:
		return "a list"
	default:
		return "an object"
	}
}

// shown quotes a value as far as a line has room.
func shown(text string) string {
	const room = 60
	if runes := []rune(text); len(runes) > room {
		text = string(runes[:room]) + "…"
	}
	return fmt.Sprintf("%q", text)
}

// parse reads a body of at most so many bytes as one JSON object, strictly.
func parse(body []byte, most int) (object, *DroppedError) {
	var whole json.RawMessage
	switch {
	case len(body) > most:
		return object{}, drop("the body has more than %d bytes", most)
	case len(bytes.TrimSpace(body)) == 0:
		return object{}, drop("the body is empty")
	case !utf8.Valid(body):
		return object{}, drop("the body is not UTF-8")
	}
	if err := json.Unmarshal(body, &whole); err != nil {
		return object{}, drop("the body is no JSON: %v", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	value, err := read(decoder, 0)
	var twice *twiceError
	switch {
	case errors.As(err, &twice):
		return object{}, drop("the key %s is there twice", shown(twice.path))
	case err != nil:
		return object{}, drop("the body is no JSON that can be read: %v", err)
	}
	fields, ok := value.(map[string]any)
	if !ok {
		return object{}, drop("the body is %s, expected a JSON object", typeOf(value))
	}
	return object{fields: fields, dropped: &fault{}}, nil
}

// twiceError is a key that an object has twice: a reader of the first and a reader of the last would see two different
// events.
type twiceError struct{ path string }

func (e *twiceError) Error() string { return e.path }

// within puts the way to an object in front of the key that it has twice.
func within(step string, err error) error {
	var twice *twiceError
	if !errors.As(err, &twice) {
		return err
	}
	if strings.HasPrefix(twice.path, "[") {
		return &twiceError{step + twice.path}
	}
	return &twiceError{step + "." + twice.path}
}

var errDeep = fmt.Errorf("it is nested more than %d deep", deepest)

func read(decoder *json.Decoder, depth int) (any, error) {
	if depth > deepest {
		return nil, errDeep
	}
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		return readObject(decoder, depth)
	case json.Delim('['):
		list := []any{}
		for decoder.More() {
			value, err := read(decoder, depth+1)
			if err != nil {
				return nil, within(fmt.Sprintf("[%d]", len(list)), err)
			}
			list = append(list, value)
		}
		_, err := decoder.Token()
		return list, err
	default:
		return token, nil
	}
}

func readObject(decoder *json.Decoder, depth int) (any, error) {
	fields := map[string]any{}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		key, _ := token.(string) // the decoder takes no other keys
		if _, twice := fields[key]; twice {
			return nil, &twiceError{key}
		}
		if fields[key], err = read(decoder, depth+1); err != nil {
			return nil, within(key, err)
		}
	}
	_, err := decoder.Token()
	return fields, err
}
