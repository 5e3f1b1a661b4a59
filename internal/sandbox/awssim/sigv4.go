package awssim

import (
	"crypto/hmac"
	"crypto/sha256"
	encoding "encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// verifyPresigned checks the signature of a presigned GET without body, made
// with the headers given. It follows "Create a signed AWS API request"; none
// of it comes from the SDK, whose use by the product it is to check.
func verifyPresigned(u *url.URL, headers map[string]string, who scope, secret string) error {
	q := u.Query()
	signature := q.Get("X-Amz-Signature")
	q.Del("X-Amz-Signature")
	signed := strings.Split(q.Get("X-Amz-SignedHeaders"), ";")
	for _, needed := range []string{"host", clusterID} {
		if !slices.Contains(signed, needed) {
			return fmt.Errorf("header %q is not signed", needed)
		}
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	var canonical strings.Builder
	fmt.Fprintf(&canonical, "GET\n%s\n%s\n", path, strings.ReplaceAll(q.Encode(), "+", "%20"))
	for _, name := range signed {
		value, ok := headers[name]
		if !ok {
			return fmt.Errorf("header %q is signed but not part of a token", name)
		}
		fmt.Fprintf(&canonical, "%s:%s\n", name, value)
	}
	fmt.Fprintf(&canonical, "\n%s\n%s", q.Get("X-Amz-SignedHeaders"), hexSHA256(""))

	date, _, _ := strings.Cut(q.Get("X-Amz-Date"), "T")
	key := []byte("AWS4" + secret)
	for _, part := range []string{date, who.region, who.service, "aws4_request"} {
		key = hmacSHA256(key, part)
	}
	toSign := fmt.Sprintf("AWS4-HMAC-SHA256\n%s\n%s/%s/%s/aws4_request\n%s",
		q.Get("X-Amz-Date"), date, who.region, who.service, hexSHA256(canonical.String()))
	if !hmac.Equal([]byte(encoding.EncodeToString(hmacSHA256(key, toSign))), []byte(signature)) {
		return errors.New("the signature does not match")
	}
	return nil
}

func hexSHA256(text string) string {
	sum := sha256.Sum256([]byte(text))
	return encoding.EncodeToString(sum[:])
}

func hmacSHA256(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}
