package awssim

import (
	"bytes"
	"errors"
	"io"
	"net/http"
)

// Transport calls the simulator without a socket, in the caller's goroutine,
// so that it works inside a testing/synctest bubble.
func Transport(sim *Sim) http.RoundTripper { return memoryTransport{sim} }

// HTTPClient is an http.Client over [Transport], for an SDK's configuration.
func (s *Sim) HTTPClient() *http.Client { return &http.Client{Transport: Transport(s)} }

type memoryTransport struct{ sim *Sim }

// RoundTrip implements http.RoundTripper.
func (t memoryTransport) RoundTrip(req *http.Request) (resp *http.Response, err error) {
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	// A shallow copy will do: the simulator only reads headers and address.
	served := new(http.Request)
	*served = *req
	served.RequestURI = req.URL.RequestURI()
	if served.Host == "" {
		served.Host = req.URL.Host
	}
	if served.Body == nil {
		served.Body = http.NoBody
	}
	defer func() { _ = served.Body.Close() }()
	// A handler that wants the connection closed panics with this value.
	defer func() {
		if p := recover(); p != nil {
			if p, ok := p.(error); !ok || !errors.Is(p, http.ErrAbortHandler) {
				panic(p)
			}
			if resp, err = nil, req.Context().Err(); err == nil {
				err = io.ErrUnexpectedEOF
			}
		}
	}()
	w := &memoryWriter{header: http.Header{}, status: http.StatusOK}
	t.sim.ServeHTTP(w, served)
	return &http.Response{
		Status: http.StatusText(w.status), StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: req,
	}, nil
}

type memoryWriter struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *memoryWriter) Header() http.Header         { return w.header }
func (w *memoryWriter) WriteHeader(status int)      { w.status = status }
func (w *memoryWriter) Write(b []byte) (int, error) { return w.body.Write(b) }
