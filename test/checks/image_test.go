package checks_test

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	_ "github.com/eks-recycle/eks-recycle/internal/cli" // so that go test runs this again when the step changes
)

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The image is built for these: by make, by a release, and by Go.
func TestTheStepCompilesForEachPlatformOfTheImage(t *testing.T) {
	platforms := regexp.MustCompile(`(?m)^PLATFORMS \?= (.*)$`).FindStringSubmatch(read(t, "Makefile"))
	if platforms == nil || !strings.Contains(read(t, ".github/workflows/release.yml"), "\n          platforms: "+platforms[1]+"\n") {
		t.Fatalf("a release is not built for the platforms of the Makefile: %v", platforms)
	}
	machines := map[string]elf.Machine{"linux/amd64": elf.EM_X86_64, "linux/arm64": elf.EM_AARCH64}
	for platform := range strings.SplitSeq(platforms[1], ",") {
		t.Run(platform, func(t *testing.T) {
			goos, goarch, _ := strings.Cut(platform, "/")
			step := filepath.Join(t.TempDir(), "step")
			build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-o", step, "./cmd/step")
			build.Dir, build.Env = root, append(build.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+goarch)
			if output, err := build.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, output)
			}
			file, err := elf.Open(step)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			if want, known := machines[platform]; !known || file.Machine != want {
				t.Errorf("it is for %s", file.Machine)
			}
		})
	}
}

// The images that the step's image is made of are named by their content. Dependabot reads FROM lines alone.
func TestBaseImagesAreNamedByDigestWhereDependabotUpdatesThem(t *testing.T) {
	dockerfile := read(t, "Dockerfile")
	for _, argument := range []string{"BUILDER_IMAGE", "BASE_IMAGE"} {
		stage := regexp.MustCompile(`(?m)^ARG ` + argument + `=(\S+)$`).FindStringSubmatch(dockerfile)
		if stage == nil {
			t.Fatalf("there is no argument %s", argument)
		}
		if !regexp.MustCompile(`(?m)^FROM (--platform=\S+ )?[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64} AS ` + stage[1] + `$`).MatchString(dockerfile) {
			t.Errorf("no line is FROM an image, by tag and digest, AS %s", stage[1])
		}
		if !regexp.MustCompile(`(?m)^FROM (--platform=\S+ )?\$\{` + argument + `\}`).MatchString(dockerfile) {
			t.Errorf("%s is not used", argument)
		}
	}
}

// A workflow's Go is that of the image, with its latest fixes. Were it read from go.mod, it would be the oldest that compiles the step:
// govulncheck would find the vulnerabilities that its standard library had then.
func TestWorkflowsUseTheGoOfTheImage(t *testing.T) {
	image := regexp.MustCompile(`/golang:(\d+\.\d+)@`).FindStringSubmatch(read(t, "Dockerfile"))
	if image == nil {
		t.Fatal("the image is not built by golang")
	}
	for _, workflow := range []string{"ci", "release"} {
		text := read(t, ".github/workflows/"+workflow+".yml")
		if same := strings.Count(text, "\n          go-version: \""+image[1]+"\""); same == 0 || same != strings.Count(text, "uses: actions/setup-go@") {
			t.Errorf("%s.yml: the Go of the image is %s", workflow, image[1])
		}
	}
}
