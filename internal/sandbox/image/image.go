// Package image packs static programs into container images, as archives that `ctr images import` reads. It stands in
// for a registry and an image builder, of which the sandbox's machine has neither. One layer, no base image, no
// compression: the archive is read back on the same machine a moment later.
package image

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// File is a copy of the file From at Path in the image.
type File struct {
	Path string
	From string
	Mode int64
}

// Image is what an image holds and how it starts.
type Image struct {
	Reference    string
	Architecture string
	Files        []File
	User         string
	Entrypoint   []string
	Env          []string
}

// Write writes the image as an archive. The same content gives the same image, whenever it is built.
func (i Image) Write(archive string) error {
	reference, err := name.NewTag(i.Reference)
	if err != nil {
		return fmt.Errorf("packing image %q: %w", i.Reference, err)
	}
	content, err := i.layer()
	if err != nil {
		return fmt.Errorf("packing image %q: %w", i.Reference, err)
	}
	img, err := mutate.AppendLayers(empty.Image, static.NewLayer(content, types.DockerUncompressedLayer))
	if err != nil {
		return fmt.Errorf("packing image %q: %w", i.Reference, err)
	}
	file, err := img.ConfigFile()
	if err != nil {
		return fmt.Errorf("packing image %q: %w", i.Reference, err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", i.Architecture
	file.Config = v1.Config{User: i.User, Entrypoint: i.Entrypoint, Env: i.Env}
	if img, err = mutate.ConfigFile(img, file); err != nil {
		return fmt.Errorf("packing image %q: %w", i.Reference, err)
	}
	if err := tarball.WriteToFile(archive, reference, img); err != nil {
		return fmt.Errorf("writing image %q: %w", i.Reference, err)
	}
	return nil
}

func (i Image) layer() ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	made := map[string]bool{}
	for _, f := range i.Files {
		content, err := os.ReadFile(f.From)
		if err != nil {
			return nil, err
		}
		inside := strings.TrimPrefix(f.Path, "/")
		if err := writeFolders(w, made, path.Dir(inside)); err != nil {
			return nil, err
		}
		header := &tar.Header{Typeflag: tar.TypeReg, Name: inside, Mode: f.Mode, Size: int64(len(content))}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func writeFolders(w *tar.Writer, made map[string]bool, dir string) error {
	if dir == "." || made[dir] {
		return nil
	}
	if err := writeFolders(w, made, path.Dir(dir)); err != nil {
		return err
	}
	made[dir] = true
	return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755})
}
