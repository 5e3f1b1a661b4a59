package report_test

import (
	"fmt"
	"image/color"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eks-recycle/eks-recycle/internal/timeline"
)

// policy is the header that Argo's server sends with an artifact.
const policy = "sandbox; default-src 'none'; img-src 'self'; style-src 'self' 'unsafe-inline'"

func TestThePageIsDrawnLightAndDark(t *testing.T) {
	dir := folder(t)
	for name, p := range map[string]timeline.Page{"one": single(), "night": night(), "fortnight": fortnight()} {
		t.Run(name, func(t *testing.T) {
			file := save(t, dir, name, p)
			light := screenshot(t, file, name+"-light", "1400,1300", false)
			dark := screenshot(t, file, name+"-dark", "1400,1300", true)
			if l, d := luminance(light.At(3, 3)), luminance(dark.At(3, 3)); l < 240 || d > 40 {
				t.Errorf("background of luminance %d in light and %d in dark", l, d)
			}
			if l, d := colours(light), colours(dark); l < 50 || d < 50 {
				t.Errorf("%d colours in light and %d in dark: blank", l, d)
			}
			if !holds(light, color.RGBA{0x26, 0x62, 0xb1, 0xff}) || !holds(dark, color.RGBA{0x7e, 0xa9, 0xe4, 0xff}) {
				t.Error("the bars of drains are missing")
			}
		})
	}
}

func TestThePageIsDrawnInANarrowWindow(t *testing.T) {
	dir := folder(t)
	if n := colours(screenshot(t, save(t, dir, "night", night()), "night-narrow", "700,1300", false)); n < 50 {
		t.Errorf("%d colours: blank", n)
	}
}

func TestThePageIsPrintedOnA4Landscape(t *testing.T) {
	dir := folder(t)
	for name, c := range map[string]struct {
		page        timeline.Page
		least, most int
	}{"one": {single(), 1, 1}, "night": {night(), 2, 3}, "fortnight": {fortnight(), 12, 25}} {
		t.Run(name, func(t *testing.T) {
			to := filepath.Join(dir, name+".pdf")
			chromium(t, "--no-pdf-header-footer", "--print-to-pdf="+to, "--blink-settings=preferredColorScheme=0", "file://"+save(t, dir, name, c.page))
			pdf, err := os.ReadFile(to)
			if err != nil {
				t.Fatal(err)
			}
			if n := len(regexp.MustCompile(`/Type\s*/Page\b`).FindAll(pdf, -1)); n < c.least || n > c.most {
				t.Errorf("%d pages", n)
			}
			box := regexp.MustCompile(`/MediaBox\s*\[0 0 (\d+)[.\d]* (\d+)`).FindSubmatch(pdf)
			if box == nil || string(box[1]) != "841" && string(box[1]) != "842" || string(box[2]) != "594" && string(box[2]) != "595" {
				t.Errorf("paper of %q", box)
			}
		})
	}
}

// serve serves pages by their path, under Argo's policy.
func serve(t *testing.T, pages map[string][]byte) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, ok := pages[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if !strings.HasPrefix(r.URL.Path, "/free/") {
			w.Header().Set("Content-Security-Policy", policy)
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestThePageKeepsToThePolicyOfArgo(t *testing.T) {
	url := serve(t, map[string][]byte{"/page": html(t, night()), "/violation": []byte("<p>before<script>document.title = 1</script><img src=//example.invalid/x.png>")})
	complaints := func(path string) []string {
		_, log := chromium(t, "--enable-logging=stderr", "--dump-dom", url+path)
		var all []string
		for line := range strings.Lines(log) {
			if strings.Contains(line, "CONSOLE") {
				all = append(all, line)
			}
		}
		return all
	}
	if all := complaints("/violation"); !strings.Contains(strings.Join(all, ""), "Content Security Policy") {
		t.Errorf("what violates the policy is not noticed: %q", all)
	}
	if all := complaints("/page"); len(all) > 0 {
		t.Errorf("the console says %q", all)
	}
	// Styles apply under the policy too.
	to := filepath.Join(t.TempDir(), "page.png")
	chromium(t, "--screenshot="+to, "--window-size=1400,1300", "--blink-settings=preferredColorScheme=1", url+"/page")
	if !holds(picture(t, to), color.RGBA{0x26, 0x62, 0xb1, 0xff}) {
		t.Error("the bars of drains are missing")
	}
}

// measure is a page around the pages, with a script, that opens each in a frame of its width and says what is wrong with its layout.
const measure = `<!doctype html><body><pre id="said"></pre><script>
const said = [];
function judge(name, page) {
	const root = page.documentElement, box = element => element.getBoundingClientRect();
	const wrong = (...text) => said.push(name + " " + text.join(" "));
	const overlap = (a, b) => a.left < b.right - .5 && b.left < a.right - .5 && a.top < b.bottom - 3 && b.top < a.bottom - 3;
	if (root.scrollWidth > root.clientWidth) wrong("overflows:", root.scrollWidth, "in", root.clientWidth);
	for (const axis of page.querySelectorAll(".axis")) {
		const labels = [...axis.querySelectorAll("text")].filter(text => box(text).width > 0);
		if (labels.length < 2) wrong("has an axis of", labels.length, "labels");
		labels.forEach((a, i) => labels.slice(i + 1).forEach(b => { if (overlap(box(a), box(b))) wrong("labels overlap:", a.textContent, "and", b.textContent); }));
		for (const label of labels) if (box(label).right > root.clientWidth) wrong("label sticks out:", label.textContent);
	}
	const bars = [...page.querySelectorAll("#timeline tbody .plot > rect:not(.track):not(.blocked)")];
	for (const bar of bars) if (!(box(bar).width >= .7)) wrong("has a bar of", box(bar).width, "px");
	for (const text of page.querySelectorAll("#timeline tbody .plot > text")) {
		const t = box(text);
		if (![...text.parentNode.querySelectorAll("rect")].some(bar => box(bar).left <= t.left && t.right <= box(bar).right)) wrong("has a text wider than its bar:", text.textContent);
	}
	const heights = [...page.querySelectorAll("#timeline tbody tr")].map(row => box(row).height);
	if (Math.max(...heights) - Math.min(...heights) > 1 || Math.max(...heights) > 24) wrong("has rows of", [...new Set(heights)], "px");
	const plots = new Set([...page.querySelectorAll("#timeline .plot, .axis, .chart > .plot")].map(plot => box(plot).left.toFixed(1) + "+" + box(plot).width.toFixed(1)));
	if (plots.size != 1) wrong("has plots that do not share an axis:", [...plots]);
	said.push(name + " has " + bars.length + " bars");
}
async function open(name, width) {
	const frame = document.createElement("iframe");
	frame.style = "height:900px;border:0;width:" + width + "px";
	frame.src = "/free/" + name;
	const loaded = new Promise(done => frame.onload = done);
	document.body.append(frame);
	await loaded;
	judge(name + " in " + width + " px", frame.contentDocument);
	frame.remove();
}
onload = async () => {
	for (const name of ["one", "night", "fortnight", "odd"]) for (const width of [700, 1000, 1400, 2000]) await open(name, width);
	document.querySelector("#said").textContent = said.join("\n") + "\ndone";
};
</script>`

func TestTheLayoutHoldsFromNarrowToWide(t *testing.T) {
	pages := map[string][]byte{"/free/measure": []byte(measure)}
	var want []string
	for _, p := range []struct {
		name string
		page timeline.Page
	}{{"one", single()}, {"night", night()}, {"fortnight", fortnight()}, {"odd", odd()}} {
		pages["/free/"+p.name] = html(t, p.page)
		for _, width := range []int{700, 1000, 1400, 2000} {
			want = append(want, fmt.Sprintf("%s in %d px has %d bars", p.name, width, bars(p.page)))
		}
	}
	dom, _ := chromium(t, "--dump-dom", "--virtual-time-budget=60000", "--window-size=2100,1000", serve(t, pages)+"/free/measure")
	_, said, _ := strings.Cut(dom, `<pre id="said">`)
	said, _, _ = strings.Cut(said, "</pre>")
	if diff := cmp.Diff(strings.Join(append(want, "done"), "\n"), said); diff != "" {
		t.Errorf("layout (-want +got):\n%s", diff)
	}
}

// bars counts the steps that lie within the interval of a page.
func bars(p timeline.Page) int {
	n := 0
	for _, r := range p.Recycles {
		for _, step := range r.Steps {
			if !step.From.After(p.Until) {
				n++
			}
		}
	}
	return n
}

func TestScriptsInTheInputDoNotRun(t *testing.T) {
	url := serve(t, map[string][]byte{"/free/odd": html(t, odd())})
	dom, _ := chromium(t, "--dump-dom", url+"/free/odd")
	if !strings.Contains(dom, "&lt;script&gt;") || strings.Contains(dom, "<script") || strings.Contains(dom, "<title>owned") {
		t.Error("what was in the input has become part of the page")
	}
}
