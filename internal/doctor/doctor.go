// Package doctor examines what serve stands on: disk, clock, lock, ports and
// destination, each with a finding and what to do.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"indelible/internal/config"
	"indelible/internal/control"
	"indelible/internal/disk"
	"indelible/internal/disk/osdisk"
	"indelible/internal/engine"
	"indelible/internal/proof"
	"indelible/internal/setup"
	"indelible/internal/term"
)

// Check is one finding of the doctor.
type Check struct {
	Name   string `json:"name"`
	State  string `json:"state"` // ok, warning or failed
	Found  string `json:"found"`
	Remedy string `json:"remedy,omitempty"` // what to do; "" when all is well
}

// States of a Check.
const (
	OK      = "ok"
	Warning = "warning"
	Failed  = "failed"
)

func good(name, format string, args ...any) Check {
	return Check{Name: name, State: OK, Found: fmt.Sprintf(format, args...)}
}

func warning(name, remedy, format string, args ...any) Check {
	return Check{Name: name, State: Warning, Found: fmt.Sprintf(format, args...), Remedy: remedy}
}

func failed(name, remedy, format string, args ...any) Check {
	return Check{Name: name, State: Failed, Found: fmt.Sprintf(format, args...), Remedy: remedy}
}

// Run examines what serve would stand on with this configuration, and
// reports each finding as it comes. Where a daemon runs on the data directory,
// the lock and the ports are its own. On this machine it leaves nothing
// behind; in a bucket, one small object.
func Run(ctx context.Context, l *config.Loaded, report func(Check)) {
	c := &l.Config
	running, alive := control.Alive(ctx, c.Data)
	report(checkConfig(l))
	dir := existing(c.Data)
	report(checkWritable(dir, c.Data))
	report(checkFiles(c.Data))
	report(checkSync(dir))
	report(checkFree(dir, c.Spool.ReserveBytes))
	report(checkTasks(servedBy(running, alive)))
	report(checkClock())
	report(checkLock(c.Data, running, alive))
	report(checkLog(l))
	report(checkSigner(ctx, c))
	for _, d := range c.Open() {
		report(checkPort(d, running, alive))
	}
	checkDestination(ctx, l, report)
}

func checkConfig(l *config.Loaded) Check {
	if l.File == "" {
		return good("config", "no file; flags, environment and defaults")
	}
	return good("config", "%s", l.File)
}

// existing is dir, or the nearest directory above it that is there.
func existing(dir string) string {
	for {
		if info, err := os.Stat(dir); err == nil && info.IsDir() || filepath.Dir(dir) == dir {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

func checkWritable(dir, dataDir string) Check {
	const name, remedy = "data", "give the user of serve this directory, or choose another with --data"
	if info, err := os.Stat(dataDir); err == nil && !info.IsDir() {
		return failed(name, "choose another with --data", "%s is no directory", dataDir)
	}
	f, err := os.CreateTemp(dir, ".indelible-doctor-*")
	if err != nil {
		return failed(name, remedy, "%v", err)
	}
	err = errors.Join(f.Close(), os.Remove(f.Name()))
	if err != nil {
		return failed(name, remedy, "%v", err)
	}
	if dir != dataDir {
		return good(name, "%s is made at the first start, in %s, which can be written", dataDir, dir)
	}
	if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&0o077 != 0 && info.Mode().Perm()&0o007 != 0 && os.PathSeparator == '/' {
		return warning(name, "chmod 700 "+dir, "%s can be read by every user of this machine", dir)
	}
	return good(name, "%s can be written", dir)
}

const (
	syncRounds = 16
	// tooFast is less than any disk needs to make 4 KiB durable: what answers
	// faster did not ask it.
	tooFast = 5 * time.Microsecond
	// tooSlow makes every ack wait so long that senders notice.
	tooSlow = 100 * time.Millisecond
)

// checkSync times what every ack waits for.
func checkSync(dir string) Check {
	const name = "disk"
	took, err := timeSync(dir)
	if err != nil {
		return failed(name, "put the data directory on a disk that can sync files, with --data", "sync a file in %s: %v", dir, err)
	}
	found := fmt.Sprintf("a write of 4 KiB is synced in %s", took.Round(time.Microsecond))
	kind, durability := fileSystem(dir)
	if kind != "" {
		found += " on " + kind
	}
	switch {
	case durability == volatile:
		return failed(name, "put the data directory on a disk, with --data", "%s, which is memory: a restart of the machine loses everything in it", found)
	case durability == remote:
		return warning(name, "prefer a local disk or a block device for --data", "%s: whether a sync is durable is up to the other side", found)
	case durability == layered:
		return warning(name, "mount a volume for --data", "%s: it goes with its container", found)
	case took < tooFast:
		return warning(name, "switch off write caching without power-loss protection, or choose another disk with --data", "%s: no disk is that fast, so something answers for it", found)
	case took > tooSlow:
		return warning(name, "choose a faster disk with --data", "%s: every ack waits that long", found)
	}
	return good(name, "%s", found)
}

// timeSync is the median time of a write and its sync, done as the spool does it.
func timeSync(dir string) (took time.Duration, err error) {
	fsys, err := osdisk.Open(dir)
	if err != nil {
		return 0, err
	}
	defer func() { _ = fsys.Close() }()
	name := fmt.Sprintf(".indelible-doctor-%d", os.Getpid())
	f, err := fsys.Create(name)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), fsys.Remove(name)) }()
	page := make([]byte, 4096)
	var rounds [syncRounds]time.Duration
	for i := range rounds {
		start := time.Now()
		if _, err := f.WriteAt(page, int64(i*len(page))); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		rounds[i] = time.Since(start)
	}
	slices.Sort(rounds[:])
	return rounds[len(rounds)/2], fsys.SyncDir(".")
}

func checkFree(dir string, reserve config.Size) Check {
	const name, remedy = "space", "make room, or choose another disk with --data"
	fsys, err := osdisk.Open(dir)
	if err != nil {
		return failed(name, remedy, "%v", err)
	}
	defer func() { _ = fsys.Close() }()
	free, err := fsys.Free()
	switch {
	case err != nil:
		return failed(name, remedy, "%v", err)
	case free < uint64(reserve):
		return failed(name, remedy, "%s free, less than the reserve of %s: the doors would refuse every record", term.Bytes(int64(free)), reserve)
	case free < 1<<30:
		return warning(name, remedy, "%s free: an outage of the destination would soon fill it", term.Bytes(int64(free)))
	}
	return good(name, "%s free", term.Bytes(int64(min(free, 1<<62))))
}

// birth is before any clock that is right.
var birth = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func checkClock() Check {
	const name, remedy = "clock", "have it set by NTP (chrony, systemd-timesyncd)"
	now := time.Now().UTC()
	if now.Before(birth) {
		return failed(name, remedy, "it is %s here, before this program was written", now.Format(time.RFC3339))
	}
	if synced, known := clockSynced(); known && !synced {
		return warning(name, remedy, "%s, and the system says that nobody sets it: keys and signatures carry its time", now.Format(time.RFC3339))
	}
	return good(name, "%s", now.Format(time.RFC3339))
}

func checkLock(dataDir string, running control.Running, alive bool) Check {
	const name = "lock"
	if alive {
		return good(name, "process %d serves %s", running.PID, dataDir)
	}
	if _, err := os.Stat(dataDir); errors.Is(err, fs.ErrNotExist) {
		return good(name, "no data directory yet")
	}
	data, err := osdisk.Open(dataDir)
	if err != nil {
		return failed(name, "choose another directory with --data", "%v", err)
	}
	defer func() { _ = data.Close() }()
	lock, err := data.Lock(engine.LockFile)
	if held, ok := errors.AsType[*disk.LockedError](err); ok {
		return failed(name, fmt.Sprintf("find out with \"ps %d\" what it does, and stop it", held.PID), "%s is %v, which does not answer on its socket", dataDir, held)
	}
	if err != nil {
		return failed(name, "choose another directory with --data", "%v", err)
	}
	if err := lock.Close(); err != nil {
		return failed(name, "choose another directory with --data", "%v", err)
	}
	return good(name, "free: no process serves %s", dataDir)
}

func checkPort(d config.Listener, running control.Running, alive bool) Check {
	name := "port " + d.Name
	if alive {
		addr := running.Addr(d.Name)
		if addr == "" {
			return good(name, "off in the daemon that runs")
		}
		return good(name, "the daemon listens on %s", addr)
	}
	ln, err := net.Listen("tcp", d.Addr)
	if err != nil {
		return failed(name, fmt.Sprintf("stop what uses it, or choose another with --%s", d.Name), "%v", err)
	}
	if err := ln.Close(); err != nil {
		return failed(name, "try again", "%v", err)
	}
	return good(name, "%s is free", d.Addr)
}

// servedBy is the process of the daemon; 0 if none runs.
func servedBy(running control.Running, alive bool) int {
	if !alive {
		return 0
	}
	return running.PID
}

func checkLog(l *config.Loaded) Check {
	const name = "log"
	o, err := setup.EngineOptions(l, nil)
	if err != nil {
		return failed(name, "correct the configuration", "%v", err)
	}
	if err := engine.Inspect(o); err != nil {
		return failed(name, o.Rescue, "%v", err)
	}
	return good(name, "nothing is known to be wrong; \"indelible verify\" checks it against the destination")
}

// checkSigner starts the program that holds the signing key, once.
func checkSigner(ctx context.Context, c *config.Config) Check {
	const name = "signer"
	switch asked, same, err := setup.CheckSigner(ctx, c); {
	case !asked:
		return good(name, "the key is not with a program outside (proof.key)")
	case err != nil:
		return failed(name, "mend the program, or name another in proof.key; until then records are acknowledged and delivered, no checkpoint is signed, and nothing leaves the spool (docs/signer.md)", "%v", err)
	case !same:
		return warning(name, "\"indelible keys rotate\", if the log is to change to that key; else have the program give the log's key again", "the program of proof.key gives another key than the log has (%s)", proof.PublicFile)
	}
	return good(name, "the program of proof.key gives the log's key")
}
