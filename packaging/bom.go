package main

import (
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// bom writes what a binary is made of, as Go recorded it in the binary itself.
func (r *release) bom(b binary) error {
	main := component(cdx.ComponentTypeApplication, "indelible", b.info.Main.Version)
	parts := []cdx.Component{component(cdx.ComponentTypeLibrary, "std", strings.TrimPrefix(b.info.GoVersion, "go"))}
	for _, d := range b.info.Deps {
		parts = append(parts, library(d))
	}
	depends := make([]string, len(parts))
	for i, p := range parts {
		depends[i] = p.BOMRef
	}
	doc := cdx.NewBOM()
	doc.Metadata = &cdx.Metadata{
		Timestamp: r.time.UTC().Format(time.RFC3339),
		Component: &main,
		Properties: &[]cdx.Property{
			{Name: "go:build:GOOS", Value: b.os},
			{Name: "go:build:GOARCH", Value: b.arch},
			{Name: "go:build:vcs.revision", Value: setting(b.info, "vcs.revision")},
		},
	}
	doc.Components = &parts
	doc.Dependencies = &[]cdx.Dependency{{Ref: main.BOMRef, Dependencies: &depends}}
	return r.write(fmt.Sprintf("indelible_%s_%s_%s.cdx.json", r.version, b.os, b.arch), func(w io.Writer) error {
		return cdx.NewBOMEncoder(w, cdx.BOMFileFormatJSON).SetPretty(true).Encode(doc)
	})
}

func library(m *debug.Module) cdx.Component {
	if m.Replace != nil {
		m = m.Replace
	}
	c := component(cdx.ComponentTypeLibrary, m.Path, m.Version)
	c.Properties = &[]cdx.Property{{Name: "go:sum", Value: m.Sum}}
	return c
}

func component(kind cdx.ComponentType, path, version string) cdx.Component {
	purl := "pkg:golang/" + path + "@" + strings.ReplaceAll(version, "+", "%2B")
	return cdx.Component{BOMRef: purl, Type: kind, Name: path, Version: version, PackageURL: purl}
}
