// Package faultdisk makes a disk fail on purpose, for tests: it wraps a
// disk.FS, shows each call to a function that may fault it, and keeps a trace
// of all calls. It can also end the process that uses it at any call (Kill) and
// have no byte free (SetFull); ReadOutage is a ready-made rule.
package faultdisk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"

	"indelible/internal/disk"
)

// Op is a kind of call.
type Op string

// The operations.
const (
	Create   Op = "create"
	Open     Op = "open"
	Rename   Op = "rename"
	Link     Op = "link"
	Exchange Op = "exchange"
	Remove   Op = "remove"
	Mkdir    Op = "mkdir"
	ReadDir  Op = "readdir"
	SyncDir  Op = "syncdir"
	Free     Op = "free"
	Lock     Op = "lock"
	Read     Op = "read"
	Write    Op = "write"
	Sync     Op = "sync"
	Allocate Op = "allocate"
	Close    Op = "close"
)

// Mutates reports whether the operation changes what is on the disk.
func (o Op) Mutates() bool {
	switch o {
	case Create, Rename, Link, Exchange, Remove, Mkdir, SyncDir, Write, Sync, Allocate:
		return true
	}
	return false
}

// Call is one call.
type Call struct {
	N    int // counts the calls of this Disk from 1
	Op   Op
	Name string // the file's; the old one of a Rename or Link, one of an Exchange
	To   string // the new name of a Rename or Link, the other of an Exchange
	Off  int64  // of a Read or Write; the size of an Allocate
	Len  int    // of a Read or Write
}

// String is the line that the trace has for a call.
func (c Call) String() string {
	switch c.Op {
	case Rename, Link, Exchange:
		return fmt.Sprintf("%s %s %s", c.Op, c.Name, c.To)
	case Read, Write:
		return fmt.Sprintf("%s %s %d+%d", c.Op, c.Name, c.Off, c.Len)
	case Allocate:
		return fmt.Sprintf("%s %s %d", c.Op, c.Name, c.Off)
	}
	return fmt.Sprintf("%s %s", c.Op, c.Name)
}

// Fault is what happens instead of a call.
type Fault struct {
	// Err is what the caller gets.
	Err error
	// Apply: the effect happens nevertheless.
	Apply bool
	// Keep: of a Write that is not applied, so many bytes from its start happen (a torn write).
	Keep int
	// Delay: the call takes that long first. A Fault that has nothing else only delays.
	Delay time.Duration
	// Kill: the process ends in this call, as Disk.Kill says. What Apply and Keep say of
	// the call happens still.
	Kill bool
}

// onlyDelays reports whether the call itself is to happen as if there were no fault.
func (f *Fault) onlyDelays() bool { return f.Err == nil && !f.Apply && f.Keep == 0 && !f.Kill }

// Disk is a disk.FS that faults. It is safe for concurrent use.
type Disk struct {
	under  disk.FS
	decide func(Call) *Fault

	mu    sync.Mutex
	n     int
	trace []string
	dead  bool             // Kill was called
	locks map[*lock]bool   // that the process holds
	full  error            // what SetFull said
	space map[string]int64 // bytes that each file has been given, as far as they are known
}

var _ disk.FS = (*Disk)(nil)

// New wraps under. decide is called before each call, one at a time, and
// returns its fault, or nil for none; decide itself may be nil.
func New(under disk.FS, decide func(Call) *Fault) *Disk { return &Disk{under: under, decide: decide} }

// Nth faults the n-th call that mutates.
func Nth(n int, fault Fault) func(Call) *Fault {
	seen := 0
	return func(c Call) *Fault {
		if !c.Op.Mutates() {
			return nil
		}
		if seen++; seen == n {
			return &fault
		}
		return nil
	}
}

// Trace is a line for each mutating call since the last Trace.
func (d *Disk) Trace() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.trace
	d.trace = nil
	return t
}

// SetDecide replaces the function that decides.
func (d *Disk) SetDecide(decide func(Call) *Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.decide = decide
}

// before notes a call and asks for its fault. It waits for the fault's delay.
func (d *Disk) before(c Call) *Fault {
	d.mu.Lock()
	fault := d.noted(c)
	d.mu.Unlock()
	if fault == nil || fault.Delay == 0 {
		return fault
	}
	time.Sleep(fault.Delay)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return d.late(c)
	}
	if fault.onlyDelays() {
		return nil
	}
	return fault
}

// noted is before without the delay. The caller holds d.mu.
func (d *Disk) noted(c Call) *Fault {
	if d.dead {
		return d.late(c)
	}
	d.n++
	c.N = d.n
	var fault *Fault
	if d.decide != nil {
		fault = d.decide(c)
	}
	if fault == nil {
		fault = d.noSpace(c)
	}
	if c.Op.Mutates() {
		line := c.String()
		if fault != nil && !fault.onlyDelays() {
			line += " fault"
		}
		d.trace = append(d.trace, line)
	}
	if fault != nil && fault.Kill {
		d.kill()
		if fault.Err == nil {
			dying := *fault
			dying.Err = ErrKilled
			fault = &dying
		}
	}
	return fault
}

// do runs a call that only has an error.
func (d *Disk) do(c Call, effect func() error) error {
	fault := d.before(c)
	if fault == nil {
		err := effect()
		if err == nil {
			d.given(c)
		}
		return err
	}
	if fault.Apply {
		_ = effect() // the caller learns only of the fault
	}
	return fault.Err
}

// Create is disk.FS's.
func (d *Disk) Create(name string) (f disk.File, err error) {
	err = d.do(Call{Op: Create, Name: name}, func() error { f, err = d.under.Create(name); return err })
	return d.wrap(name, f, err)
}

// Open is disk.FS's.
func (d *Disk) Open(name string) (f disk.File, err error) {
	err = d.do(Call{Op: Open, Name: name}, func() error { f, err = d.under.Open(name); return err })
	return d.wrap(name, f, err)
}

// OpenWrite is disk.FS's.
func (d *Disk) OpenWrite(name string) (f disk.File, err error) {
	err = d.do(Call{Op: Open, Name: name}, func() error { f, err = d.under.OpenWrite(name); return err })
	return d.wrap(name, f, err)
}

func (d *Disk) wrap(name string, f disk.File, err error) (disk.File, error) {
	if err != nil {
		if f != nil {
			_ = f.Close()
		}
		return nil, err
	}
	return d.opened(name, f)
}

// Rename is disk.FS's.
func (d *Disk) Rename(oldname, newname string) error {
	return d.do(Call{Op: Rename, Name: oldname, To: newname}, func() error { return d.under.Rename(oldname, newname) })
}

// Link is disk.FS's.
func (d *Disk) Link(oldname, newname string) error {
	return d.do(Call{Op: Link, Name: oldname, To: newname}, func() error { return d.under.Link(oldname, newname) })
}

// Exchange is the disk's below, if it can do that.
func (d *Disk) Exchange(a, b string) error {
	return d.do(Call{Op: Exchange, Name: a, To: b}, func() error {
		if x, ok := d.under.(interface{ Exchange(a, b string) error }); ok {
			return x.Exchange(a, b)
		}
		return errors.ErrUnsupported
	})
}

// Remove is disk.FS's.
func (d *Disk) Remove(name string) error {
	return d.do(Call{Op: Remove, Name: name}, func() error { return d.under.Remove(name) })
}

// MkdirAll is disk.FS's.
func (d *Disk) MkdirAll(name string) error {
	return d.do(Call{Op: Mkdir, Name: name}, func() error { return d.under.MkdirAll(name) })
}

// ReadDir is disk.FS's.
func (d *Disk) ReadDir(name string) (list []fs.DirEntry, err error) {
	err = d.do(Call{Op: ReadDir, Name: name}, func() error { list, err = d.under.ReadDir(name); return err })
	return list, err
}

// SyncDir is disk.FS's.
func (d *Disk) SyncDir(name string) error {
	return d.do(Call{Op: SyncDir, Name: name}, func() error { return d.under.SyncDir(name) })
}

// Free is disk.FS's.
func (d *Disk) Free() (n uint64, err error) {
	err = d.do(Call{Op: Free}, func() error { n, err = d.under.Free(); return err })
	return n, err
}

// Lock is disk.FS's.
func (d *Disk) Lock(name string) (c io.Closer, err error) {
	err = d.do(Call{Op: Lock, Name: name}, func() error { c, err = d.under.Lock(name); return err })
	if err != nil {
		return nil, err
	}
	return d.hold(c)
}

// file is a file whose calls can be faulted.
type file struct {
	disk *Disk
	name string
	disk.File
}

func (f *file) ReadAt(p []byte, off int64) (n int, err error) {
	err = f.disk.do(Call{Op: Read, Name: f.name, Off: off, Len: len(p)}, func() error { n, err = f.File.ReadAt(p, off); return err })
	return n, err
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	fault := f.disk.before(Call{Op: Write, Name: f.name, Off: off, Len: len(p)})
	if fault == nil {
		n, err := f.File.WriteAt(p, off)
		f.disk.given(Call{Op: Write, Name: f.name, Off: off, Len: n})
		return n, err
	}
	keep := min(fault.Keep, len(p))
	if fault.Apply {
		keep = len(p)
	}
	n := 0
	if keep > 0 {
		n, _ = f.File.WriteAt(p[:keep], off) // the caller learns only of the fault
	}
	return n, fault.Err
}

func (f *file) Sync() error {
	return f.disk.do(Call{Op: Sync, Name: f.name}, f.File.Sync)
}

func (f *file) Allocate(size int64) error {
	return f.disk.do(Call{Op: Allocate, Name: f.name, Off: size}, func() error { return f.File.Allocate(size) })
}

func (f *file) Close() error {
	return f.disk.do(Call{Op: Close, Name: f.name}, f.File.Close)
}
