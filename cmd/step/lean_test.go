package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// A waiting recycle is a pod that sits for hours, and every attempt of every step starts the program anew. What a package
// allocates before main runs is paid for by each of them, so a package that needs more than most has to be named here.
const (
	mostBytes       = 29_000_000 // of the program, without symbols
	mostInitialized = 3_000_000  // by all packages
	mostByOne       = 128_000    // by any that is not named
)

var mostByPackage = map[string]int{
	// Shapes of all calls of a service, of which few are made.
	"github.com/aws/aws-sdk-go-v2/service/autoscaling/schemas": 512_000,
	"github.com/aws/aws-sdk-go-v2/service/eks/schemas":         640_000,
	"github.com/russross/blackfriday/v2":                       256_000, // through urfave/cli, which can write manual pages
	"github.com/google/go-cmp/cmp":                             224_000, // through client-go's reflector
	"k8s.io/api/core/v1":                                       224_000,
}

var initialized = regexp.MustCompile(`(?m)^init (\S+) @.* (\d+) bytes, \d+ allocs$`)

func TestTheProgramStaysLean(t *testing.T) {
	program := filepath.Join(t.TempDir(), "step")
	build := exec.Command("go", "build", "-buildvcs=false", "-ldflags", "-s -w -X main.version=v0.0.0", "-o", program, ".")
	build.Env = append(build.Environ(), "GOFLAGS=-trimpath", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	info, err := os.Stat(program)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the program has %d bytes", info.Size())
	if info.Size() > mostBytes {
		t.Errorf("the program has %d bytes, its budget is %d: what has come to be linked? go tool nm -size -sort size", info.Size(), mostBytes)
	}

	run := exec.Command(program, "version")
	run.Env = append(run.Environ(), "GODEBUG=inittrace=1")
	trace, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, trace)
	}
	packages, total := initialized.FindAllSubmatch(trace, -1), 0
	if len(packages) < 50 {
		t.Fatalf("the trace names %d packages:\n%s", len(packages), trace)
	}
	for _, m := range packages {
		name := string(m[1])
		bytes, err := strconv.Atoi(string(m[2]))
		if err != nil {
			t.Fatal(err)
		}
		total += bytes
		most, named := mostByPackage[name]
		if !named {
			most = mostByOne
		}
		if bytes > most {
			t.Errorf("package %s allocates %d bytes when the program starts, its budget is %d", name, bytes, most)
		}
	}
	t.Logf("packages allocate %d bytes when the program starts", total)
	if total > mostInitialized {
		t.Errorf("packages allocate %d bytes when the program starts, the budget is %d", total, mostInitialized)
	}
}
