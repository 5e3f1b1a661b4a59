// Package hint attaches to an error what its reader can do about it. The hint is not part of the error's text: the
// command prints it on a line of its own, so that messages stay one line long and can be compared.
package hint

import (
	"errors"
	"fmt"
)

type hinted struct {
	error
	hint string
}

func (h *hinted) Unwrap() error { return h.error }

// Wrap returns err with a hint for the person who reads it. A nil err stays nil.
func Wrap(err error, hint string) error {
	if err == nil {
		return nil
	}
	return &hinted{error: err, hint: hint}
}

// Errorf is fmt.Errorf with a hint in front.
func Errorf(hint, format string, args ...any) error {
	return Wrap(fmt.Errorf(format, args...), hint)
}

// Of returns the outermost hint in err's chain, or "".
func Of(err error) string {
	var h *hinted
	if errors.As(err, &h) {
		return h.hint
	}
	return ""
}
