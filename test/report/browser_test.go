// Package report_test opens pages of internal/timeline in a real Chromium, with nothing but its command line.
package report_test

import (
	"bytes"
	"flag"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eks-recycle/eks-recycle/internal/timeline"
)

var pictures = flag.String("pictures", "", "a folder in which the pages, their screenshots and PDFs are kept, to judge them by eye")

// chromium is the browser, one process per call. It fails where there is none: a page that no browser has opened is not tested.
func chromium(t *testing.T, args ...string) (stdout, stderr string) {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("chromium is missing: apt-get install -y --no-install-recommends chromium")
	}
	args = append([]string{"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-breakpad", "--user-data-dir=" + t.TempDir()}, args...)
	command := exec.CommandContext(t.Context(), program, args...)
	var out, log bytes.Buffer
	command.Stdout, command.Stderr = &out, &log
	if err := command.Run(); err != nil {
		t.Fatalf("chromium %s: %v\n%s", strings.Join(args, " "), err, log.String())
	}
	return out.String(), log.String()
}

// folder is where the files of a test go.
func folder(t *testing.T) string {
	t.Helper()
	if *pictures == "" {
		return t.TempDir()
	}
	if err := os.MkdirAll(*pictures, 0o755); err != nil {
		t.Fatal(err)
	}
	path, err := filepath.Abs(*pictures)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// save writes a page to a file and returns the file.
func save(t *testing.T, dir, name string, p timeline.Page) string {
	t.Helper()
	file := filepath.Join(dir, name+".html")
	if err := os.WriteFile(file, html(t, p), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func html(t *testing.T, p timeline.Page) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// screenshot opens a file in a light or a dark window.
func screenshot(t *testing.T, file, name, size string, dark bool) image.Image {
	t.Helper()
	scheme := "--blink-settings=preferredColorScheme=1"
	if dark {
		scheme = "--blink-settings=preferredColorScheme=0"
	}
	to := filepath.Join(filepath.Dir(file), name+".png")
	chromium(t, "--screenshot="+to, "--window-size="+size, scheme, "file://"+file)
	return picture(t, to)
}

func picture(t *testing.T, file string) image.Image {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return decoded
}

// luminance is from 0, black, to 255.
func luminance(c color.Color) int {
	return int(color.GrayModel.Convert(c).(color.Gray).Y)
}

// colours counts the different colours of a picture.
func colours(picture image.Image) int {
	seen := map[color.Color]bool{}
	for y := picture.Bounds().Min.Y; y < picture.Bounds().Max.Y; y++ {
		for x := picture.Bounds().Min.X; x < picture.Bounds().Max.X; x++ {
			seen[picture.At(x, y)] = true
		}
	}
	return len(seen)
}

// holds says whether a picture has pixels of a colour, such as a bar's.
func holds(picture image.Image, want color.RGBA) bool {
	n := 0
	for y := picture.Bounds().Min.Y; y < picture.Bounds().Max.Y; y++ {
		for x := picture.Bounds().Min.X; x < picture.Bounds().Max.X; x++ {
			r, g, b, _ := picture.At(x, y).RGBA()
			if uint8(r>>8) == want.R && uint8(g>>8) == want.G && uint8(b>>8) == want.B {
				n++
			}
		}
	}
	return n >= 100
}
