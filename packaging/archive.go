package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// A file goes into an archive, a package or an image.
type file struct {
	name string
	mode int64
	body []byte
}

// archive makes what people download who want no package: the program and its licences.
func (r *release) archive(b binary) error {
	program, err := os.ReadFile(b.path)
	if err != nil {
		return err
	}
	license, err := os.ReadFile(filepath.Join(r.root, "LICENSE"))
	if err != nil {
		return err
	}
	name := fmt.Sprintf("indelible_%s_%s_%s", r.version, b.os, b.arch)
	exe := "indelible"
	if b.os == "windows" {
		exe += ".exe"
	}
	files := []file{{exe, 0o755, program}, {"LICENSE", 0o644, license}, {"THIRD-PARTY-NOTICES", 0o644, r.notices}}
	if b.os == "windows" {
		return r.write(name+".zip", func(w io.Writer) error { return writeZip(w, files, r.time) })
	}
	return r.write(name+".tar.gz", func(w io.Writer) error {
		z, err := gzip.NewWriterLevel(w, gzip.BestCompression)
		if err != nil {
			return err
		}
		if err := writeTar(z, files, 0, r.time); err != nil {
			return err
		}
		return z.Close()
	})
}

// writeTar writes files of one owner; a name that ends in a slash is a directory.
func writeTar(w io.Writer, files []file, owner int, at time.Time) error {
	t := tar.NewWriter(w)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.body)), Uid: owner, Gid: owner, ModTime: at, Typeflag: tar.TypeReg, Format: tar.FormatPAX}
		if f.name[len(f.name)-1] == '/' {
			h.Typeflag = tar.TypeDir
		}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(f.body); err != nil {
			return err
		}
	}
	return t.Close()
}

func writeZip(w io.Writer, files []file, at time.Time) error {
	z := zip.NewWriter(w)
	for _, f := range files {
		h := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: at}
		h.SetMode(os.FileMode(f.mode))
		e, err := z.CreateHeader(h)
		if err != nil {
			return err
		}
		if _, err := e.Write(f.body); err != nil {
			return err
		}
	}
	return z.Close()
}
