package timeline

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

type rgb [3]float64 // linear, from 0 to 1

// palettes reads the colours of the style sheet: light, and what dark puts over it.
func palettes(t *testing.T) map[string]map[string]rgb {
	t.Helper()
	css, err := files.ReadFile("style.css")
	if err != nil {
		t.Fatal(err)
	}
	light, rest, ok := strings.Cut(string(css), "@media screen and (prefers-color-scheme: dark)")
	dark, _, closed := strings.Cut(rest, "\n}\n")
	if !ok || !closed {
		t.Fatal("the style sheet has no dark colours")
	}
	return map[string]map[string]rgb{"light": variables(t, light), "dark": variables(t, dark)}
}

func variables(t *testing.T, css string) map[string]rgb {
	t.Helper()
	all := map[string]rgb{}
	for _, found := range regexp.MustCompile(`--([a-z-]+): #([0-9a-f]{6});`).FindAllStringSubmatch(css, -1) {
		n, err := strconv.ParseUint(found[2], 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		var c rgb
		for i := range c {
			v := float64(n>>(16-8*i)&0xff) / 255
			if c[i] = v / 12.92; v > 0.04045 {
				c[i] = math.Pow((v+0.055)/1.055, 2.4)
			}
		}
		all[found[1]] = c
	}
	return all
}

// contrast is that of WCAG 2.
func contrast(a, b rgb) float64 {
	luminance := func(c rgb) float64 { return 0.2126*c[0] + 0.7152*c[1] + 0.0722*c[2] + 0.05 }
	x, y := luminance(a), luminance(b)
	return max(x, y) / min(x, y)
}

func TestColoursHaveContrastInLightAndDark(t *testing.T) {
	for mode, colour := range palettes(t) {
		check := func(front, back string, least float64) {
			a, ok := colour[front]
			b, also := colour[back]
			if got := contrast(a, b); !ok || !also || got < least {
				t.Errorf("%s: %s on %s has a contrast of %.2f, needs %.1f", mode, front, back, got, least)
			}
		}
		for _, back := range []string{"back", "panel", "tint"} {
			for _, text := range []string{"ink", "soft", "ok", "fail", "run"} {
				check(text, back, 4.5)
			}
			for _, step := range append(slices.Clone(stepNames), "other") {
				check(step, back, 3)
			}
		}
		for _, step := range append(slices.Clone(stepNames), "other") {
			check("on-"+step, step, 4.5)
		}
		for _, line := range []string{"in-service", "desired"} {
			check(line, "back", 3)
			check(line, "area", 3)
		}
	}
}

// sights are how people see: as most do, and the three kinds of colour blindness (Machado, Oliveira, Fernandes 2009, severity 1).
var sights = map[string][3]rgb{
	"most people":  {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}},
	"protanopia":   {{0.152286, 1.052583, -0.204868}, {0.114503, 0.786281, 0.099216}, {-0.003882, -0.048116, 1.051998}},
	"deuteranopia": {{0.367322, 0.860646, -0.227968}, {0.280085, 0.672501, 0.047413}, {-0.011820, 0.042940, 0.968881}},
	"tritanopia":   {{1.255528, -0.076749, -0.178779}, {-0.078411, 0.930809, 0.147602}, {0.004733, 0.691367, 0.303900}},
}

func through(c rgb, m [3]rgb) rgb {
	var out rgb
	for i, row := range m {
		out[i] = row[0]*c[0] + row[1]*c[1] + row[2]*c[2]
	}
	return out
}

// oklab is a space in which distance is difference to the eye.
func oklab(c rgb) rgb {
	c = through(rgb{max(0, min(1, c[0])), max(0, min(1, c[1])), max(0, min(1, c[2]))},
		[3]rgb{{0.4122214708, 0.5363325363, 0.0514459929}, {0.2119034982, 0.6806995451, 0.1073969566}, {0.0883024619, 0.2817188376, 0.6299787005}})
	return through(rgb{math.Cbrt(c[0]), math.Cbrt(c[1]), math.Cbrt(c[2])},
		[3]rgb{{0.2104542553, 0.7936177850, -0.0040720468}, {1.9779984951, -2.4285922050, 0.4505937099}, {0.0259040371, 0.7827717662, -0.8086757660}})
}

func TestStepsAreToldApartByColourBlindPeople(t *testing.T) {
	const least = 0.09 // of OKLab: about nine times what is just noticed
	for mode, colour := range palettes(t) {
		for sight, m := range sights {
			for i, a := range stepNames {
				for _, b := range stepNames[i+1:] {
					x, y := oklab(through(colour[a], m)), oklab(through(colour[b], m))
					if d := math.Sqrt((x[0]-y[0])*(x[0]-y[0]) + (x[1]-y[1])*(x[1]-y[1]) + (x[2]-y[2])*(x[2]-y[2])); d < least {
						t.Errorf("%s, %s: %s and %s differ by %.3f", mode, sight, a, b, d)
					}
				}
			}
		}
	}
}
