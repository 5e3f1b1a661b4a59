package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes the test binary a step command for the stories.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"step": main})
}

// Stories of the command line: what is given, what comes back on stdout and stderr, and the exit code. Their only network
// is the loopback interface.
func TestStories(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("AWS_EC2_METADATA_DISABLED", "true")
			env.Values[environment{}] = env
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"account": account, "exits": exits, "interrupted": interrupted, "result": result, "calls": calls,
		},
	})
}

type environment struct{}

// exits CODE COMMAND… runs a command and checks its exit code. stdout and stderr look at its output afterwards.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND…")
	}
	err := ts.Exec(args[1], args[2:]...)
	if got := code(err); strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

func code(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	default:
		return -1
	}
}

// interrupted CODE TEXT COMMAND… sends SIGTERM to the command once it has written the text to stderr.
func interrupted(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: interrupted CODE TEXT COMMAND…")
	}
	var stdout bytes.Buffer
	stderr := &watchedBuffer{text: args[1], seen: make(chan struct{})}
	cmd := exec.Command(args[2], args[3:]...)
	cmd.Stdout, cmd.Stderr, cmd.Env = &stdout, stderr, environ(ts)
	path, err := lookPath(ts, args[2])
	ts.Check(err)
	cmd.Path, cmd.Err = path, nil
	ts.Check(cmd.Start())
	select {
	case <-stderr.seen:
	case <-time.After(30 * time.Second):
		ts.Logf("it never wrote %q", args[1])
	}
	ts.Check(cmd.Process.Signal(syscall.SIGTERM))
	err = cmd.Wait()
	fmt.Fprint(ts.Stdout(), stdout.String())
	fmt.Fprint(ts.Stderr(), stderr.all.String())
	if got := code(err); strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

type watchedBuffer struct {
	all  bytes.Buffer
	text string
	seen chan struct{}
}

func (b *watchedBuffer) Write(p []byte) (int, error) {
	had := strings.Contains(b.all.String(), b.text)
	n, err := b.all.Write(p)
	if !had && strings.Contains(b.all.String(), b.text) {
		close(b.seen)
	}
	return n, err
}

// environ is the story's environment as it is now.
func environ(ts *testscript.TestScript) []string {
	var out []string
	for _, v := range ts.Value(environment{}).(*testscript.Env).Vars {
		name, _, _ := strings.Cut(v, "=")
		out = append(out, name+"="+ts.Getenv(name))
	}
	return out
}

func lookPath(ts *testscript.TestScript, name string) (string, error) {
	for dir := range strings.SplitSeq(ts.Getenv("PATH"), ":") {
		if path, err := exec.LookPath(dir + "/" + name); err == nil {
			return path, nil
		}
	}
	return "", exec.ErrNotFound
}

// result checks fields of the one JSON object on stdout: name=text, where the text need only be a part of the value.
func result(ts *testscript.TestScript, neg bool, args []string) {
	output := ts.ReadFile("stdout")
	var object map[string]any
	decoder := json.NewDecoder(strings.NewReader(output))
	if err := decoder.Decode(&object); err != nil || decoder.More() || strings.Count(output, "\n") != 1 {
		ts.Fatalf("stdout is not one JSON object on one line (%v):\n%s", err, output)
	}
	for _, arg := range args {
		name, want, _ := strings.Cut(arg, "=")
		value, found := object[name]
		if got := fmt.Sprint(value); (found && strings.Contains(got, want)) == neg {
			ts.Fatalf("field %s of the result is %q", name, got)
		}
	}
}
