package sandbox

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
)

// unmountUnder removes all mounts in a folder, the last mounted first.
func unmountUnder(dir string) error {
	content, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("listing mounts: %w", err)
	}
	var errs []error
	for _, path := range slices.Backward(mountsUnder(string(content), dir)) {
		// Lazily: what still holds the mount is ending, and nothing new may find it.
		if err := syscall.Unmount(path, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) {
			errs = append(errs, fmt.Errorf("unmounting %q: %w", path, err))
		}
	}
	return errors.Join(errs...)
}

// mountsUnder reads mount points from a mountinfo table (proc(5)), in which spaces and such are written in octal.
func mountsUnder(mountinfo, dir string) []string {
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var out []string
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		if point := unescape.Replace(fields[4]); strings.HasPrefix(point, dir+"/") {
			out = append(out, point)
		}
	}
	return out
}
