package sandbox

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strings"

	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// requireFreeAddress refuses a machine that has the sandbox's address from somebody else: a Kubernetes node, most likely.
func requireFreeAddress() error {
	has, err := hasAddress(address)
	if err != nil {
		return err
	}
	if has {
		return hint.Errorf("run the sandbox on a machine that is not a Kubernetes node",
			"adding address %s: the machine has it already, and not from the sandbox", address)
	}
	return nil
}

// addAddress gives the machine the sandbox's address.
func addAddress(ctx context.Context) error {
	return ip(ctx, "address", "add", address+"/32", "dev", "lo")
}

// removeNetwork takes back what addAddress and the bridge plugin added.
func removeNetwork(ctx context.Context) error {
	if has, err := hasAddress(address); err != nil {
		return err
	} else if has {
		if err := ip(ctx, "address", "delete", address+"/32", "dev", "lo"); err != nil {
			return err
		}
	}
	if _, err := net.InterfaceByName(bridge); err == nil {
		return ip(ctx, "link", "delete", bridge)
	}
	return nil
}

func hasAddress(want string) (bool, error) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return false, fmt.Errorf("listing the machine's addresses: %w", err)
	}
	return slices.ContainsFunc(addresses, func(a net.Addr) bool {
		return strings.HasPrefix(a.String(), want+"/")
	}), nil
}

func ip(ctx context.Context, args ...string) error {
	path, err := requirement{program: "ip"}.find()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("running %q: %w: %s", cmd, err, lastLine(string(output)))
	}
	return nil
}
