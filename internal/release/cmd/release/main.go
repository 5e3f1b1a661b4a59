// Command release writes the files of a release into dist/. It runs in the checkout.
//
//	go run ./internal/release/cmd/release v0.1.0
package main

import (
	"fmt"
	"os"

	"github.com/eks-recycle/eks-recycle/internal/release"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: release VERSION, such as v0.1.0")
		os.Exit(2)
	}
	if err := release.Write(".", os.Args[1], "dist"); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}
