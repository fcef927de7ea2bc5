package doctor

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"syscall"
	"time"

	"indelible/internal/config"
	"indelible/internal/disk"
	"indelible/internal/disk/osdisk"
	"indelible/internal/layout"
	"indelible/internal/record"
	"indelible/internal/setup"
	"indelible/internal/store"
	"indelible/internal/store/dir"
	"indelible/internal/store/s3"
)

const (
	// checkTimeout bounds each question to the destination.
	checkTimeout = 15 * time.Second
	// probeObject is what the doctor writes, below the base prefix. It stays: the store has no delete.
	probeObject = layout.ProofDir + "doctor.txt"
)

// checkDestination asks the store what an upload would meet.
func checkDestination(ctx context.Context, l *config.Loaded, report func(Check)) {
	loc, err := config.ParseLocation(string(l.Config.Destination.URL))
	if err != nil {
		report(failed("destination", "choose another with --to", "%v", err))
		return
	}
	if loc.Bucket == "" {
		checkDirectory(ctx, loc.Dir, report)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 4*checkTimeout)
	defer cancel()
	d, err := setup.OpenDestination(ctx, &l.Config, "", true)
	if err != nil {
		report(failed("destination", "correct the configuration", "%v", err))
		return
	}
	defer func() { _ = d.Close() }()
	d.Check(ctx, d.Layout.Base()+probeObject, func(f s3.Finding) {
		report(Check{Name: findingName(f.Name), State: string(f.State), Found: f.Found, Remedy: f.Remedy})
	})
}

// findingName is the line of a finding that the doctor also has about
// directories, or that has another of its name.
func findingName(name string) string {
	switch name {
	case "bucket":
		return "destination"
	case "write":
		return "writes"
	case "conditional writes":
		return "conditional"
	case "clock":
		return "store clock"
	}
	return name
}

// checkDirectory tries the directory store in a place of its own, beside or in
// the directory, and leaves nothing there.
func checkDirectory(ctx context.Context, root string, report func(Check)) {
	const remedy = "give the user of serve this directory, or choose another with --to"
	if info, err := os.Stat(root); err == nil && !info.IsDir() {
		report(failed("destination", "choose another with --to", "%s is no directory", root))
		return
	}
	temp, err := os.MkdirTemp(existing(root), ".indelible-doctor-*")
	inodes := checkInodes(root, LimitsOf(existing(root)), !errors.Is(err, syscall.ENOSPC))
	report(inodes)
	if inodes.State == Failed {
		return
	}
	if err != nil {
		report(failed("destination", remedy, "%v", err))
		return
	}
	defer func() { _ = os.RemoveAll(temp) }()
	fsys, err := osdisk.Open(temp)
	if err != nil {
		report(failed("destination", remedy, "%v", err))
		return
	}
	defer func() { _ = fsys.Close() }()
	report(good("destination", "the directory %s can be written", root))
	checkNames(root, report)
	links := checkLinks(fsys, root)
	report(links)
	if links.State == Failed {
		return
	}
	checkWrites(ctx, dir.Open(fsys), probeObject, "nothing is left there", report)
}

// checkWrites stores an object, and tries to store another under the same key:
// that one has to be refused, which is what makes a retry after an ambiguous
// answer safe.
func checkWrites(ctx context.Context, s store.Store, key, left string, report func(Check)) {
	first := ask(ctx, func(ctx context.Context) error {
		return putCheck(ctx, s, key, "written by indelible doctor\n", store.Condition{})
	})
	if first != nil && store.ClassOf(first) != store.Exists {
		report(failed("writes", cure(first), "an object cannot be stored: %v", first))
		return
	}
	report(good("writes", "objects can be stored (%s)", left))
	second := ask(ctx, func(ctx context.Context) error {
		return putCheck(ctx, s, key, "written again by indelible doctor\n", store.Condition{})
	})
	switch {
	case second == nil:
		report(failed("conditional", "use a store that honours If-None-Match: *", "the store overwrites what must not be overwritten"))
	case store.ClassOf(second) != store.Exists:
		report(failed("conditional", cure(second), "the store did not say that the object exists: %v", second))
	default:
		report(good("conditional", "an object that exists is not overwritten"))
	}
	const name = "conditional replace"
	third := ask(ctx, func(ctx context.Context) error {
		return putCheck(ctx, s, key, "replaced by indelible doctor\n", store.Condition{Match: "00000000000000000000000000000000"})
	})
	switch {
	case third == nil:
		report(failed(name, "use a store that honours If-Match", "the store replaces an object that is not the one that was named"))
	case store.ClassOf(third) != store.Exists:
		report(failed(name, cure(third), "the store did not say that the object is another one: %v", third))
	default:
		report(good(name, "an object is replaced only if it is the one that is known"))
	}
}

// checkNames looks whether a store still lies on a file system of the kind that it began on.
func checkNames(root string, report func(Check)) {
	if existing(root) != root {
		return
	}
	s, err := dir.OpenPath(root)
	if err != nil {
		return // the other checks tell
	}
	defer func() { _ = s.Close() }()
	if ambiguous, err := s.Ambiguous(); err == nil && ambiguous {
		report(warning("names", "begin a store in an empty directory with --to, which escapes what is not told apart, or move this one back",
			"the file system of %s takes names for one that differ in capital letters or in how an accent is written, and the store there began on one that does not: such keys are read as one another", root))
	}
}

// fewInodes is how many records a directory must have room for, by its inodes: each takes two.
const fewInodes = 100_000

// checkInodes looks whether the file system of a directory has room for files; room says that it did not refuse one for want of it.
func checkInodes(root string, l Limits, room bool) Check {
	const name, remedy = "inodes", "choose a file system with more inodes (mkfs.ext4 -N, XFS, Btrfs), or pack records (layout: pack)"
	switch {
	case l.NoInodes && room:
		return good(name, "the file system of %s does not tell", root) // as rclone's, which says none, always
	case l.NoInodes:
		return failed(name, remedy, "the file system of %s has no inode free: nothing can be stored", root)
	case l.Inodes > 0 && l.FreeInodes/2 < fewInodes:
		return warning(name, remedy, "the file system of %s has %d inodes free, and each record takes two", root, l.FreeInodes)
	case l.Inodes == 0:
		return good(name, "the file system of %s tells of no bound", root)
	}
	return good(name, "%d free", l.FreeInodes)
}

// checkLinks looks whether a file can have a second name, which is how an object gets its own and never another's.
func checkLinks(fsys disk.FS, root string) Check {
	const name, to = "links", "links-too"
	file, err := fsys.Create(name)
	if err == nil {
		err = errors.Join(file.Close(), fsys.Link(name, to))
	}
	if err != nil {
		return failed(name, "choose a file system that has them (ext4, XFS, Btrfs, ZFS, APFS, NTFS); a bucket is reached by s3://, and not through a mount of it",
			"the file system of %s has no hard links, without which no object can be stored: %v", root, err)
	}
	if err := errors.Join(fsys.Remove(to), fsys.Remove(name)); err != nil {
		return failed(name, "look at the file system", "files cannot be removed from %s: %v", root, err)
	}
	return good(name, "the file system of %s has hard links", root)
}

func ask(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	return f(ctx)
}

func putCheck(ctx context.Context, s store.Store, key, text string, c store.Condition) error {
	_, err := s.Put(ctx, store.Object{
		Key: key, Body: bytes.NewReader([]byte(text)), Size: int64(len(text)),
		Digest: record.Digest(sha256.Sum256([]byte(text))),
		Header: map[string]string{"content-type": "text/plain"}, Condition: c,
	})
	return err
}

// cure is what to do about an error of the store.
func cure(err error) string {
	switch store.ClassOf(err) {
	case store.Credentials:
		return "give this user credentials that may list and write there (AWS_ACCESS_KEY_ID, AWS_PROFILE, a role)"
	case store.Configuration, store.NotFound:
		return "check --to, --region and --endpoint, and that the bucket exists"
	case store.Throttled:
		return "try again later: it asks for less"
	}
	return "check network and --endpoint; serve starts and acknowledges all the same, and delivers when it is back"
}
