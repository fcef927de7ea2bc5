package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"indelible/internal/disk/osdisk"
	"indelible/internal/proof"
	"indelible/internal/record"
)

// Names of a rescue below the data directory.
const (
	rescueFile = "rescue.json"  // in the data directory: a rescue was begun
	rescuedDir = "rescued"      // holds a data directory for each rescue, named by its log
	keptFile   = "rescued.json" // in that: what it is
	oldDir     = "old"          // in that: what belonged to the log before
	nameFile   = "log.name"
)

// moved are the files of a log, in the order in which a rescue moves them.
var moved = [...]string{SpoolDir, PacksDir, packedFile, "proof", proof.KeyFile, proof.NextFile, proof.PublicFile, proof.OldFile, forkFile, nameFile}

// Rescued is a spool whose records go into the bucket under another log than
// the one that acknowledged them.
type Rescued struct {
	Dir    string     `json:"dir"` // the data directory of the new log; the old log's files are in old/ there
	From   string     `json:"from"`
	Log    string     `json:"log"` // the new log
	Since  time.Time  `json:"since"`
	Reason string     `json:"reason"`
	First  record.Seq `json:"first,omitempty"` // where the new log goes on; 0: nothing was pending
	Done   bool       `json:"done"`            // every record is stored and proven

	Brought uint64 `json:"brought"` // records stored and proven by this call
	Left    uint64 `json:"left"`    // records that still wait in Dir
}

// ErrHealthy: the data directory and the log in the destination belong together.
var ErrHealthy = errors.New("nothing is wrong with the log: there is nothing to rescue, \"indelible serve\" delivers what is pending")

// Rescue brings the pending records of a data directory that can go no further
// into the bucket, under a new log whose first leaf says from which log and record on they come. It
// needs nothing of the old log but the spool. Afterwards the directory is as new, and the next
// start begins a log of its own.
//
//  1. The plan is written to rescue.json: from here on no Open succeeds before the rescue is through.
//  2. rescued/<new log>/ is made, and the old log's files are moved there: the spool into it, the rest into old/.
//  3. The plan is kept there, and rescue.json removed: from here on the data directory can be used.
//  4. An engine on rescued/<new log>/ delivers, proves and stops in good order.
//
// A process that is killed in any of these steps is followed by another Rescue, which goes on where it
// was. Where the log of an earlier rescue can go no further either, its directory is rescued in the same way. Where the destination is away, the first three steps are done all the same. With nothing wrong it changes nothing, and fails with ErrHealthy.
// While records are delivered, progress (which may be nil) is told now and then how many were brought and are left.
func Rescue(ctx context.Context, o Options, progress func(brought, left uint64)) ([]Rescued, error) {
	o.rescuing = progress
	if err := o.separate(ctx); err != nil {
		return nil, err
	}
	unfinished, err := Unfinished(o.Dir)
	if err != nil {
		return nil, err
	}
	if len(unfinished) == 0 {
		return nil, ErrHealthy
	}
	var all []Rescued
	var errs []error
	for i := range unfinished {
		became, err := o.deliverOrRescue(ctx, &unfinished[i])
		all, errs = append(all, became...), append(errs, err)
	}
	return all, errors.Join(errs...)
}

// Unfinished are the rescued spools below a data directory that still hold records.
func Unfinished(dir string) (found []Rescued, err error) {
	all, err := rescues(dir)
	for _, r := range all {
		if !r.Done {
			found = append(found, r)
		}
	}
	return found, err
}

// rescues are all rescued spools below a data directory.
func rescues(dir string) (found []Rescued, err error) {
	entries, err := os.ReadDir(filepath.Join(dir, rescuedDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		home := filepath.Join(dir, rescuedDir, e.Name())
		b, err := os.ReadFile(filepath.Join(home, keptFile))
		if errors.Is(err, fs.ErrNotExist) {
			continue // one that is still being separated
		}
		r := Rescued{}
		if err == nil {
			err = json.Unmarshal(b, &r)
		}
		if err != nil {
			return nil, fmt.Errorf("read what was rescued: %w", err)
		}
		r.Dir, r.Brought, r.Left = home, 0, 0
		found = append(found, r)
	}
	return found, nil
}

// EndedError says that a log was ended by a rescue, so that its name cannot be used again.
type EndedError struct {
	Log string
	Dir string // where what belonged to it is kept
}

func (e *EndedError) Error() string {
	return fmt.Sprintf("the log %q ended with a rescue (its files are in %s), and its name cannot be used again", e.Log, e.Dir)
}

// cutShort is the error of a directory whose rescue was begun.
func (o *Options) cutShort() error {
	return &StuckError{Err: errors.New("a rescue of this directory was begun and is not through"), Rescue: o.rescueCommand()}
}

// usable says whether a rescue keeps the directory, or the name asked for, from being used.
func (e *Engine) usable() error {
	if begun, err := e.opts.begun(); err != nil || begun {
		if begun {
			err = e.opts.cutShort()
		}
		return err
	}
	if e.opts.Name == "" {
		return nil
	}
	all, err := rescues(e.opts.Dir)
	for _, r := range all {
		if r.From == e.opts.Name {
			return &EndedError{Log: r.From, Dir: filepath.Join(r.Dir, oldDir)}
		}
	}
	return err
}

// separate moves the spool away from the data directory, if something is wrong with its log, or a
// rescue was begun before.
func (o *Options) separate(ctx context.Context) (err error) {
	if _, err := os.Stat(o.Dir); err != nil {
		return err
	}
	begun, err := o.begun()
	if err != nil {
		return err
	}
	reason := ""
	if !begun {
		if reason, err = o.diagnose(ctx); err != nil || reason == "" {
			return err
		}
	}
	return o.carryOut(reason)
}

// carryOut does what separate has found to be necessary.
func (o *Options) carryOut(reason string) (err error) {
	data, err := osdisk.Open(o.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, data.Close()) }()
	release, err := Lock(data, o.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	plan, err := o.plan(data, reason)
	if err != nil {
		return err
	}
	return separate(data, o.Dir, plan)
}

func (o *Options) begun() (bool, error) {
	_, err := os.Stat(filepath.Join(o.Dir, rescueFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// diagnose says why the log can go no further; "" if it can. An error says that this could not be found out.
func (o *Options) diagnose(ctx context.Context) (reason string, err error) {
	if _, err := os.Stat(filepath.Join(o.Dir, SpoolDir)); errors.Is(err, fs.ErrNotExist) {
		return "", nil // nothing was ever acknowledged here, or it was rescued before
	}
	e, err := Open(ctx, *o)
	if err == nil {
		err = errors.Join(e.Match(ctx), e.Close())
	}
	if err == nil {
		return "", nil
	}
	if reason := final(err); reason != "" {
		return reason, nil
	}
	return "", fmt.Errorf("nothing was changed, because it is not known that anything is wrong: %w", err)
}

// final is why a log can go no further, as an error of Open or Match has it; "" if it says no such thing.
func final(err error) string {
	if f, ok := errors.AsType[*ForkedError](err); ok {
		return f.Reason
	}
	if s, ok := errors.AsType[*StuckError](err); ok {
		return s.Err.Error()
	}
	return ""
}

// plan is the plan of the rescue: the one begun before, or a new one, durable when it returns.
func (o *Options) plan(data *osdisk.FS, reason string) (Rescued, error) {
	var r Rescued
	b, err := readAll(data, rescueFile)
	if err == nil {
		if err := json.Unmarshal(b, &r); err != nil {
			return r, fmt.Errorf("read %s: %w", rescueFile, err)
		}
		return r, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return r, fmt.Errorf("read %s: %w", rescueFile, err)
	}
	from, err := spoolOwner(o.Dir)
	if err != nil {
		return r, fmt.Errorf("the spool cannot be read, so nothing was changed: %w", err)
	}
	if o.origin.Log != "" {
		from = o.Name // the spool came to this log from another one
	}
	if from == "" {
		from = "unknown"
	}
	r = Rescued{From: from, Log: proof.NewName(), Since: time.Now().UTC(), Reason: reason}
	return r, r.write(data, rescueFile)
}

// write makes the plan durable in a file of a directory.
func (r *Rescued) write(data *osdisk.FS, name string) error {
	b, err := json.MarshalIndent(r, "", " ")
	if err == nil {
		err = replace(data, name, append(b, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// separate carries out the plan. Each of its steps can be done again.
func separate(data *osdisk.FS, dir string, plan Rescued) error {
	home := rescuedDir + "/" + plan.Log
	if err := data.MkdirAll(home + "/" + oldDir); err != nil {
		return err
	}
	for _, name := range moved {
		to := home + "/" + oldDir + "/" + name
		if name == SpoolDir {
			to = home + "/" + name
		}
		if err := move(data, dir, name, to); err != nil {
			return fmt.Errorf("rescue log %s: %w", plan.From, err)
		}
	}
	for _, name := range []string{home, home + "/" + oldDir, "."} {
		if err := data.SyncDir(name); err != nil {
			return err
		}
	}
	if err := plan.keep(filepath.Join(dir, filepath.FromSlash(home))); err != nil {
		return err
	}
	return errors.Join(data.Remove(rescueFile), data.SyncDir("."))
}

// move moves a file of the data directory dir that is there, and never over another.
func move(data *osdisk.FS, dir, from, to string) error {
	if _, err := os.Lstat(filepath.Join(dir, from)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // moved by an earlier call, or it never was
		}
		return err
	}
	if _, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(to))); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, fmt.Errorf("%s and %s are both there: move one of them away, and run this again", from, to))
	}
	return data.Rename(from, to)
}

// keep writes the plan and the new log's name into the directory of the new log.
func (r *Rescued) keep(home string) (err error) {
	data, err := osdisk.Open(home)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, data.Close()) }()
	if _, err := proof.KeepName(data, r.Log); err != nil {
		return err
	}
	return r.write(data, keptFile)
}
