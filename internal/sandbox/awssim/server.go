package awssim

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// request is one AWS call, decoded.
type request struct {
	params
	service, action, region, accessKey, userAgent string

	ctx  context.Context // of a call that may wait
	host string          // under which the caller found the simulator
	body []byte          // of a JSON call, which params hold flattened
}

// handler answers a call under the lock.
type handler func(*request) (any, error)

type service struct {
	namespace, version string
	actions            map[string]handler
	params             map[string]string // that an action takes: see [params.unknown]
}

const maxBody = 1 << 20

// ServeHTTP answers AWS calls on every path but /_sim/, the control API.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/_sim/") {
		s.control.ServeHTTP(w, r)
		return
	}
	values, err := url.Values{}, error(nil)
	if r.URL.RawQuery != "" {
		values, err = url.ParseQuery(r.URL.RawQuery)
	}
	if err == nil && r.Body != nil && strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		var body bytes.Buffer
		body.Grow(int(min(max(r.ContentLength, 0), maxBody)) + bytes.MinRead)
		if _, err = body.ReadFrom(http.MaxBytesReader(w, r.Body, maxBody)); err == nil {
			var form url.Values
			form, err = url.ParseQuery(body.String())
			for k, v := range form {
				values[k] = append(values[k], v...)
			}
		}
	}
	var body []byte
	if service, _, _ := jsonTarget(r.Header); err == nil && service != "" {
		body, err = readJSONBody(w, r, values)
	}
	who, ok := scopeOf(r.Header, values)
	reply := s.reply(r, who, values)
	if err != nil {
		reply.fail(w, fail("MalformedQueryString", "The query string is malformed: %v", err))
		return
	}
	if !ok {
		reply.fail(w, &apiError{"MissingAuthenticationToken", "Request is missing Authentication Token", http.StatusForbidden})
		return
	}
	req := &request{
		params: params{reply.service, values}, service: reply.service, action: reply.action,
		region: who.region, accessKey: who.accessKey, userAgent: r.UserAgent(),
		ctx: r.Context(), host: r.Host, body: body,
	}
	result, err := s.perform(r.Context(), req)
	if errors.Is(err, errDropped) {
		panic(http.ErrAbortHandler)
	}
	if err != nil {
		var answer *apiError
		if !errors.As(err, &answer) {
			answer = &apiError{"InternalFailure", err.Error(), http.StatusInternalServerError}
		}
		reply.fail(w, answer)
		return
	}
	reply.succeed(w, result)
}

// errDropped stands for a connection that closes without an answer.
var errDropped = errors.New("connection dropped by a scripted fault")

// perform logs the call, lets a scripted fault have its way, and runs the action.
func (s *Sim) perform(ctx context.Context, r *request) (any, error) {
	s.mu.Lock()
	s.catchUp()
	entry := s.logCall(r)
	fault := s.nextFault(r.service, r.action)
	if fault == nil {
		fault = s.chance(r)
	}
	if fault != nil {
		entry.Fault = fault.Kind
	}
	if fault != nil && fault.Kind == FaultDelay {
		s.mu.Unlock()
		pause := time.NewTimer(fault.delay)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			s.mu.Lock()
			defer s.mu.Unlock()
			s.tell(entry)
			return nil, errDropped
		}
		s.mu.Lock()
		s.catchUp()
	}
	defer s.mu.Unlock()
	s.by = origin{CauseCall, entry.Seq, r.accessKey}
	result, err := s.afflict(r, entry, fault)
	s.by = origin{}
	if entry.Effect && !entry.ReadOnly {
		s.remember()
	}
	var answer *apiError
	if errors.As(err, &answer) {
		entry.ErrorCode = answer.Code
	}
	s.tell(entry)
	return result, err
}

// afflict runs the action with the fault before or after it.
func (s *Sim) afflict(r *request, entry *Call, fault *Fault) (any, error) {
	kind := ""
	if fault != nil {
		kind = fault.Kind
	}
	switch kind {
	case FaultErrorBefore:
		return nil, fault.apiError()
	case FaultDropBefore:
		return nil, errDropped
	}
	result, err := s.execute(r)
	entry.Effect = err == nil
	switch kind {
	case FaultErrorAfter:
		return nil, fault.apiError()
	case FaultDropAfter:
		return nil, errDropped
	}
	return result, err
}

func (s *Sim) execute(r *request) (any, error) {
	// STS signs for us-east-1 where a client uses its global endpoint.
	if r.region != s.cfg.Region && r.service != "sts" {
		return nil, &apiError{"SignatureDoesNotMatch", "Credential should be scoped to a valid region, not '" + r.region + "'. ", http.StatusForbidden}
	}
	if err := s.throttle(r.service); err != nil {
		return nil, err
	}
	if r.service == "eks" {
		if err := r.unknown("name"); err != nil {
			return nil, err
		}
		return s.describeCluster(r)
	}
	known := s.services[r.service]
	do, ok := known.actions[r.action]
	if !ok && known.version == "" {
		return nil, fail("UnknownOperationException", "the simulator knows no %s of %s", r.action, r.service)
	}
	if !ok {
		return nil, fail("InvalidAction", "Could not find operation %s for version %s", r.action, known.version)
	}
	if known.version != "" { // the JSON services read their input strictly
		if err := r.unknown(known.params[r.action]); err != nil {
			return nil, err
		}
	}
	if r.service == "ec2" {
		if dry, err := r.boolean("DryRun", false); err != nil {
			return nil, err
		} else if dry {
			return nil, &apiError{"DryRunOperation", "Request would have succeeded, but DryRun flag is set.", http.StatusPreconditionFailed}
		}
	}
	if strings.HasPrefix(r.action, "Describe") {
		return s.lagging(do, r)
	}
	return do(r)
}

// reply is how one call is answered: the protocol of its service.
type reply struct {
	service, action, namespace, requestID string
	jsonVersion                           string // empty: not the JSON protocol
	writers                               *sync.Pool
}

func (s *Sim) reply(r *http.Request, who scope, values url.Values) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := reply{action: values.Get("Action"), requestID: uuid(s.requests), writers: s.writers}
	if service, action, version := jsonTarget(r.Header); service != "" {
		out.service, out.action, out.jsonVersion = service, action, version
		return out
	}
	if name, ok := strings.CutPrefix(r.URL.Path, "/clusters/"); ok {
		values.Set("name", name)
		out.service, out.action = "eks", "DescribeCluster"
		if r.Method != http.MethodGet || strings.Contains(name, "/") {
			out.action = r.Method + " " + r.URL.Path
		}
		return out
	}
	out.service = who.service
	if who.service == "eks" {
		out.action = r.Method + " " + r.URL.Path
		return out
	}
	if _, known := s.services[out.service]; !known {
		out.service = "autoscaling"
		for name, candidate := range s.services {
			if candidate.version != "" && values.Get("Version") == candidate.version {
				out.service = name
			}
		}
	}
	out.namespace = s.services[out.service].namespace
	return out
}

func (p reply) succeed(w http.ResponseWriter, result any) {
	if p.service == "eks" {
		writeJSON(w, http.StatusOK, result)
		return
	}
	w.Header().Set("X-Amzn-Requestid", p.requestID)
	if p.jsonVersion != "" {
		p.writeJSONAnswer(w, http.StatusOK, result)
		return
	}
	if p.service != "ec2" {
		p.write(w, http.StatusOK, queryAnswer{p.namespace, p.action, p.requestID, result})
		return
	}
	if head, ok := result.(interface{ setRequestID(string) }); ok {
		head.setRequestID(p.requestID)
	}
	p.write(w, http.StatusOK, ec2Answer{p.namespace, p.action, result})
}

func (p reply) fail(w http.ResponseWriter, e *apiError) {
	w.Header().Set("X-Amzn-Requestid", p.requestID)
	if p.jsonVersion != "" {
		p.failJSON(w, e)
		return
	}
	switch p.service {
	case "eks":
		code := e.Code
		if !strings.HasSuffix(code, "Exception") {
			code += "Exception"
		}
		w.Header().Set("X-Amzn-Errortype", code)
		writeJSON(w, e.Status, map[string]string{"message": e.Message})
	case "ec2":
		var doc ec2Error
		doc.Errors.Error.Code, doc.Errors.Error.Message, doc.RequestID = e.Code, e.Message, p.requestID
		p.write(w, e.Status, doc)
	default:
		doc := queryError{Xmlns: p.namespace, RequestID: p.requestID}
		doc.Error.Type, doc.Error.Code, doc.Error.Message = "Sender", e.Code, e.Message
		if e.Status >= http.StatusInternalServerError {
			doc.Error.Type = "Receiver"
		}
		p.write(w, e.Status, doc)
	}
}

func (p reply) write(w http.ResponseWriter, status int, doc any) {
	out, ok := p.writers.Get().(*xmlWriter)
	if !ok {
		out = newXMLWriter()
	}
	out.buffer.Reset()
	out.buffer.WriteString(xml.Header)
	if err := out.encoder.Encode(doc); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return // without it: an encoder that failed once is of no more use
	}
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	w.WriteHeader(status)
	_, _ = w.Write(out.buffer.Bytes())
	p.writers.Put(out)
}

// xmlWriter is kept from answer to answer, as making one costs as much as an
// answer does.
type xmlWriter struct {
	buffer  bytes.Buffer
	encoder *xml.Encoder
}

func newXMLWriter() *xmlWriter {
	out := new(xmlWriter)
	out.encoder = xml.NewEncoder(&out.buffer)
	return out
}

// Serve answers on a listener, with time running, until the context ends.
func Serve(ctx context.Context, listener net.Listener, sim *Sim) error {
	sim.Start(ctx)
	defer sim.Close()
	server := &http.Server{Handler: sim, ReadHeaderTimeout: 10 * time.Second}
	stopped := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stopped()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
