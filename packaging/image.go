package main

import (
	"bytes"
	"encoding/pem"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// user is who the container runs as: a number, so that Kubernetes can see that it is not root.
const user = 65532

// image writes one OCI image for all Linux targets: an image layout, in a tar file.
func (r *release) image(built []binary) error {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, b := range built {
		if b.os != "linux" {
			continue
		}
		img, err := r.platform(b)
		if err != nil {
			return err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{
			MediaType: types.OCIManifestSchema1,
			Platform:  &v1.Platform{OS: b.os, Architecture: b.arch},
		}})
	}
	dir, err := os.MkdirTemp("", "indelible-image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	l, err := layout.Write(dir, mutate.IndexMediaType(empty.Index, types.OCIImageIndex))
	if err != nil {
		return err
	}
	if err := l.AppendIndex(index, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": r.version})); err != nil {
		return err
	}
	files, err := filesBelow(dir)
	if err != nil {
		return err
	}
	return r.write("indelible_"+r.version+"_oci.tar", func(w io.Writer) error { return writeTar(w, files, 0, r.time) })
}

// platform is the image of one target: the program, what TLS needs, a user and a place for data.
func (r *release) platform(b binary) (v1.Image, error) {
	program, err := os.ReadFile(b.path)
	if err != nil {
		return nil, err
	}
	license, err := os.ReadFile(filepath.Join(r.root, "LICENSE"))
	if err != nil {
		return nil, err
	}
	system := []file{
		{"etc/", 0o755, nil},
		{"etc/passwd", 0o644, []byte("root:x:0:0:root:/:/sbin/nologin\nindelible:x:65532:65532:indelible:/data:/sbin/nologin\n")},
		{"etc/group", 0o644, []byte("root:x:0:\nindelible:x:65532:\n")},
		{"etc/ssl/", 0o755, nil},
		{"etc/ssl/certs/", 0o755, nil},
		{"etc/ssl/certs/ca-certificates.crt", 0o644, roots()},
		{"tmp/", 0o1777, nil},
		{"usr/", 0o755, nil},
		{"usr/bin/", 0o755, nil},
		{"usr/bin/indelible", 0o755, program},
		{"usr/share/", 0o755, nil},
		{"usr/share/doc/", 0o755, nil},
		{"usr/share/doc/indelible/", 0o755, nil},
		{"usr/share/doc/indelible/LICENSE", 0o644, license},
		{"usr/share/doc/indelible/THIRD-PARTY-NOTICES", 0o644, r.notices},
	}
	var layers []v1.Layer
	for _, part := range []struct {
		files []file
		owner int
	}{{system, 0}, {[]file{{"data/", 0o700, nil}}, user}} {
		var buf bytes.Buffer
		if err := writeTar(&buf, part.files, part.owner, r.time); err != nil {
			return nil, err
		}
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil },
			tarball.WithMediaType(types.OCILayer))
		if err != nil {
			return nil, err
		}
		layers = append(layers, layer)
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err := mutate.AppendLayers(base, layers...)
	if err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = b.os, b.arch, v1.Time{Time: r.time}
	for i := range config.History {
		config.History[i] = v1.History{Created: v1.Time{Time: r.time}, CreatedBy: "go run -C packaging ."}
	}
	config.Config = v1.Config{
		User:         "65532:65532",
		Entrypoint:   []string{"/usr/bin/indelible"},
		Cmd:          []string{"serve"},
		Env:          []string{"INDELIBLE_DATA=/data", "PATH=/usr/bin"},
		WorkingDir:   "/data",
		Volumes:      map[string]struct{}{"/data": {}},
		ExposedPorts: map[string]struct{}{"4100/tcp": {}, "4318/tcp": {}, "9000/tcp": {}, "9001/tcp": {}},
		StopSignal:   "SIGTERM",
		Labels: map[string]string{
			"org.opencontainers.image.title":    "Indelible",
			"org.opencontainers.image.version":  r.version,
			"org.opencontainers.image.revision": setting(b.info, "vcs.revision"),
			"org.opencontainers.image.licenses": "Apache-2.0",
		},
	}
	return mutate.ConfigFile(img, config)
}

// roots are the authorities that Mozilla trusts without a condition, for TLS to a store.
func roots() []byte {
	var all bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil { // a condition cannot be said in a PEM file
			_ = pem.Encode(&all, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) // to memory
		}
	}
	return all.Bytes()
}

// filesBelow are the files of a directory with their names in it, in order.
func filesBelow(dir string) ([]file, error) {
	var all []file
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			all = append(all, file{rel + "/", 0o755, nil})
			return nil
		}
		body, err := os.ReadFile(name)
		all = append(all, file{rel, 0o644, body})
		return err
	})
	return all, err
}
