package awssim

import (
	"net/http"
	"net/url"
	"strings"
)

// scope is what a SigV4 credential says of itself.
type scope struct {
	accessKey, region, service string
}

// scopeOf finds the credential in the header or in a presigned query.
func scopeOf(header http.Header, values url.Values) (scope, bool) {
	credential := values.Get("X-Amz-Credential")
	if rest, ok := strings.CutPrefix(header.Get("Authorization"), "AWS4-HMAC-SHA256 "); ok {
		for part := range strings.SplitSeq(rest, ",") {
			if v, ok := strings.CutPrefix(strings.TrimSpace(part), "Credential="); ok {
				credential = v
			}
		}
	}
	fields := strings.Split(credential, "/")
	if len(fields) < 5 {
		return scope{}, false
	}
	// An access key may itself hold slashes; the scope is the last four.
	n := len(fields)
	if fields[n-1] != "aws4_request" {
		return scope{}, false
	}
	return scope{strings.Join(fields[:n-4], "/"), fields[n-3], fields[n-2]}, true
}
