package awssim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// jsonTargets are the services of AWS's JSON protocol by the prefix of their
// X-Amz-Target, with the version of the protocol that their answers name.
func jsonTargets() map[string]struct{ service, version string } {
	return map[string]struct{ service, version string }{
		"AmazonSQS": {"sqs", "1.0"},
		"AWSEvents": {"events", "1.1"},
	}
}

// jsonTarget is the service and action that the header of a JSON call names.
func jsonTarget(header http.Header) (service, action, version string) {
	prefix, action, _ := strings.Cut(header.Get("X-Amz-Target"), ".")
	to := jsonTargets()[prefix]
	return to.service, action, to.version
}

// readJSONBody gives a call's body, and flattens it into values for the call
// log: {"Entries":[{"Id":"a"}]} is Entries.1.Id.
func readJSONBody(w http.ResponseWriter, r *http.Request, values url.Values) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMessage+maxBody))
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(body)) == 0 {
		body = []byte("{}")
	}
	var doc map[string]any
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if err := dec.Decode(&doc); err != nil {
		return nil, err
	}
	for name, v := range doc {
		flatten(values, name, v)
	}
	return body, nil
}

func flatten(into url.Values, name string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, inner := range v {
			flatten(into, name+"."+key, inner)
		}
	case []any:
		for i, inner := range v {
			flatten(into, name+"."+strconv.Itoa(i+1), inner)
		}
	case nil:
	default:
		into.Set(name, fmt.Sprint(v))
	}
}

// typed is a handler of a JSON service. A member that it does not know is
// refused: ignored, it would make a caller believe in what is not there.
func typed[In any](do func(*request, In) (any, error)) handler {
	return func(r *request) (any, error) {
		var in In
		if err := strictJSON(bytes.NewReader(r.body), &in); err != nil {
			return nil, fail("SerializationException", "%v", err)
		}
		return do(r, in)
	}
}

// writeJSONAnswer answers as the JSON protocol does.
func (p reply) writeJSONAnswer(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-"+p.jsonVersion)
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// failJSON gives the error's shape in the body. SQS spoke the Query protocol
// before: its clients find the code of those days in a header of its own.
func (p reply) failJSON(w http.ResponseWriter, e *apiError) {
	kind := e.Code
	if p.service == "sqs" {
		kind = sqsShape(e.Code)
		fault := "Sender"
		if e.Status >= http.StatusInternalServerError {
			fault = "Receiver"
		}
		w.Header().Set("X-Amzn-Query-Error", e.Code+";"+fault)
	}
	p.writeJSONAnswer(w, e.Status, map[string]string{"__type": kind, "message": e.Message})
}
