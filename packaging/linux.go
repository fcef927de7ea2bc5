package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb" // registers the format
	"github.com/goreleaser/nfpm/v2/files"
	_ "github.com/goreleaser/nfpm/v2/rpm" // registers the format
)

// docs go into /usr/share/doc/indelible.
var docs = []string{"README.md", "docs/configuration.md", "docs/operations.md", "docs/recovery.md"}

// linuxPackages makes the deb and the rpm of one architecture.
func (r *release) linuxPackages(b binary) error {
	notices := b.path + ".notices"
	if err := os.WriteFile(notices, r.notices, 0o644); err != nil {
		return err
	}
	for _, format := range []string{"deb", "rpm"} {
		info := nfpm.WithDefaults(&nfpm.Info{
			Name:          "indelible",
			Arch:          b.arch,
			Platform:      "linux",
			Version:       packageVersion(r.version),
			VersionSchema: "none",
			Release:       "1",
			Section:       "admin",
			Priority:      "optional",
			Maintainer:    "The Indelible authors <indelible@localhost>",
			Description:   "Audit log for LLM traffic\nRecords are synced to disk before they are acknowledged, delivered to an\nobject store, and proven complete by a signed log.",
			License:       "Apache-2.0",
			MTime:         r.time,
			Overridables: nfpm.Overridables{
				Contents: r.contents(b, notices),
				Umask:    0o022,
				Depends:  map[string][]string{"deb": {"passwd"}, "rpm": {"shadow-utils"}}[format],
				Scripts: nfpm.Scripts{
					PreInstall:  r.linux("preinstall.sh"),
					PostInstall: r.linux("postinstall." + format + ".sh"),
					PreRemove:   r.linux("preremove." + format + ".sh"),
					PostRemove:  r.linux("postremove." + format + ".sh"),
				},
				RPM: nfpm.RPM{Group: "System Environment/Daemons", Summary: "Audit log for LLM traffic", Compression: "zstd", BuildHost: "localhost"},
				Deb: nfpm.Deb{Compression: "gzip"},
			},
		})
		packager, err := nfpm.Get(format)
		if err != nil {
			return err
		}
		if err := nfpm.PrepareForPackager(info, format); err != nil {
			return err
		}
		if err := r.write(packager.ConventionalFileName(info), func(w io.Writer) error { return packager.Package(info, w) }); err != nil {
			return err
		}
	}
	return nil
}

// linux is a file that only the packages have.
func (r *release) linux(name string) string { return filepath.Join(r.root, "packaging", "linux", name) }

func (r *release) contents(b binary, notices string) files.Contents {
	root := func(mode os.FileMode) *files.ContentFileInfo {
		return &files.ContentFileInfo{Owner: "root", Group: "root", Mode: mode, MTime: r.time}
	}
	// Secrets stand in these, so they are for root and the daemon alone.
	private := func(mode os.FileMode) *files.ContentFileInfo {
		return &files.ContentFileInfo{Owner: "root", Group: "indelible", Mode: mode, MTime: r.time}
	}
	all := files.Contents{
		{Source: b.path, Destination: "/usr/bin/indelible", FileInfo: root(0o755)},
		{Source: r.linux("indelible.service"), Destination: "/usr/lib/systemd/system/indelible.service", FileInfo: root(0o644)},
		{Destination: "/etc/indelible", Type: files.TypeDir, FileInfo: private(0o750)},
		{Source: r.linux("indelible.yaml"), Destination: "/etc/indelible/indelible.yaml", Type: files.TypeConfigNoReplace, FileInfo: private(0o640)},
		{Source: r.linux("indelible.env"), Destination: "/etc/indelible/indelible.env", Type: files.TypeConfigNoReplace, FileInfo: private(0o640)},
		{Source: filepath.Join(r.root, "LICENSE"), Destination: "/usr/share/doc/indelible/copyright", FileInfo: root(0o644)},
		{Source: notices, Destination: "/usr/share/doc/indelible/THIRD-PARTY-NOTICES", FileInfo: root(0o644)},
	}
	for _, name := range docs {
		all = append(all, &files.Content{Source: filepath.Join(r.root, name), Destination: "/usr/share/doc/indelible/" + filepath.Base(name), FileInfo: root(0o644)})
	}
	return all
}

// packageVersion is a version that dpkg and rpm sort as Go does: what comes before a
// release follows a tilde, and there is no hyphen, which rpm forbids.
func packageVersion(v string) string {
	release, pre, ok := strings.Cut(v, "-")
	if !ok {
		return v
	}
	return release + "~" + strings.ReplaceAll(pre, "-", ".")
}
