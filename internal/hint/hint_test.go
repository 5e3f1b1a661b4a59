package hint_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/eks-recycle/eks-recycle/internal/hint"
)

func TestHints(t *testing.T) {
	cause := errors.New("boom")
	inner := hint.Wrap(cause, "mend it")
	for name, c := range map[string]struct {
		err           error
		message, hint string
	}{
		"it is no part of the message": {inner, "boom", "mend it"},
		"it comes through wrapping":    {fmt.Errorf("doing: %w", inner), "doing: boom", "mend it"},
		"it comes through joining":     {errors.Join(errors.New("other"), inner), "other\nboom", "mend it"},
		"the outermost counts":         {hint.Wrap(fmt.Errorf("doing: %w", inner), "do it otherwise"), "doing: boom", "do it otherwise"},
		"with a format of its own":     {hint.Errorf("100 % sure", "doing %q: %w", "it", cause), `doing "it": boom`, "100 % sure"},
		"an error without":             {cause, "boom", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if c.err.Error() != c.message || hint.Of(c.err) != c.hint || !errors.Is(c.err, cause) {
				t.Errorf("error %q, hint %q", c.err, hint.Of(c.err))
			}
		})
	}
	if err := hint.Wrap(nil, "mend it"); err != nil || hint.Of(nil) != "" {
		t.Errorf("no error became %v", err)
	}
}
