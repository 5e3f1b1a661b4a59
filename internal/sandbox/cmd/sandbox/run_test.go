package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestRunWithoutASandbox(t *testing.T) {
	state := t.TempDir()
	for _, tt := range []struct {
		name string
		args []string
		code int
		out  string
		err  string
	}{
		{"no command shows the usage", nil, 2, "", "usage: sandbox COMMAND"},
		{"help is data", []string{"help"}, 0, "usage: sandbox COMMAND", ""},
		{"unknown command", []string{"dwon"}, 2, "", `unknown command "dwon"`},
		{"unknown flag", []string{"up", "--nonsense"}, 2, "", "usage: sandbox up"},
		{"argument where none is taken", []string{"down", "now"}, 2, "", "down takes no arguments"},
		{"help of a command", []string{"up", "--help"}, 0, "", "-kubeconfig file"},
		{"env of no sandbox has a hint", []string{"env", "--state", state}, 1, "", "hint: start it with: make sandbox-up"},
		{"exec without a command", []string{"exec", "--state", state}, 1, "", "exec needs a command"},
		{"another cluster needs an address", []string{"up", "--state", state, "--kubeconfig", "/nonexistent"}, 1, "", "--awssim-address"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out, err bytes.Buffer
			if code := run(t.Context(), tt.args, streams{out: &out, err: &err}); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if !strings.Contains(out.String(), tt.out) || tt.out == "" && out.Len() > 0 {
				t.Errorf("stdout is %q, want %q", out.String(), tt.out)
			}
			if !strings.Contains(err.String(), tt.err) || tt.err == "" && err.Len() > 0 {
				t.Errorf("stderr is %q, want %q", err.String(), tt.err)
			}
		})
	}
}

func TestQuotedWordsStayWords(t *testing.T) {
	if got, want := quote("it's $HOME"), `'it'\''s $HOME'`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
