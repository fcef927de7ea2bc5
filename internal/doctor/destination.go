package doctor

import (
	"bytes"
	"context"
	"crypto/sha256"
	"os"
	"time"

	"indelible/internal/config"
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
	loc, err := config.ParseLocation(l.Config.Destination.URL)
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
	checkWrites(ctx, dir.Open(fsys), probeObject, "nothing is left there", report)
}

// checkWrites stores an object, and tries to store another under the same key:
// that one has to be refused, which is what makes a retry after an ambiguous
// answer safe.
func checkWrites(ctx context.Context, s store.Store, key, left string, report func(Check)) {
	first := ask(ctx, func(ctx context.Context) error { return putCheck(ctx, s, key, "written by indelible doctor\n") })
	if first != nil && store.ClassOf(first) != store.Exists {
		report(failed("writes", cure(first), "an object cannot be stored: %v", first))
		return
	}
	report(good("writes", "objects can be stored (%s)", left))
	second := ask(ctx, func(ctx context.Context) error { return putCheck(ctx, s, key, "written again by indelible doctor\n") })
	switch {
	case second == nil:
		report(failed("conditional", "use a store that honours If-None-Match: *", "the store overwrites what must not be overwritten"))
	case store.ClassOf(second) != store.Exists:
		report(failed("conditional", cure(second), "the store did not say that the object exists: %v", second))
	default:
		report(good("conditional", "an object that exists is not overwritten"))
	}
}

func ask(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	return f(ctx)
}

func putCheck(ctx context.Context, s store.Store, key, text string) error {
	_, err := s.Put(ctx, store.Object{
		Key: key, Body: bytes.NewReader([]byte(text)), Size: int64(len(text)),
		Digest: record.Digest(sha256.Sum256([]byte(text))),
		Header: map[string]string{"content-type": "text/plain"},
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
