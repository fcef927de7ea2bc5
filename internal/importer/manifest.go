package importer

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"

	"indelible/internal/disk"
	"indelible/internal/record"
)

// line is one object in a manifest, which has them in the order of their keys.
type line struct {
	Key      string     `json:"key"` // in the store
	Size     int64      `json:"size"`
	ETag     string     `json:"etag,omitempty"`
	Version  string     `json:"version,omitempty"`
	Modified time.Time  `json:"modified"`
	Seq      record.Seq `json:"seq"`
	SHA256   string     `json:"sha256"`
}

// head is a line that is no object: each run writes one before it appends, with the newest seq of that moment.
type head struct {
	Manifest int        `json:"manifest"` // the format's version
	Source   string     `json:"source"`
	Prefix   string     `json:"prefix"`
	Log      string     `json:"log"`
	Base     record.Seq `json:"base"`
}

// loose is a record that an earlier run appended without writing its line: its place among the keys is still to come.
type loose struct {
	Loose  bool       `json:"loose"`
	Bucket string     `json:"bucket"`
	Name   string     `json:"name"` // the record's key
	Size   int64      `json:"size"`
	Seq    record.Seq `json:"seq"`
	SHA256 string     `json:"sha256"`
}

const (
	manifestVersion = 1
	// maxTorn is how much of a file's end a power loss can leave without sense: less than one write.
	maxTorn = 2 << 20
	maxLine = 1 << 20
)

type recordKey struct{ bucket, key string }

// manifest is the file of a run that is under way, "<id>.next", beside that of the last one that came to its end,
// "<id>.ndjson". Lines are appended once their records are durable, and synced. A run that
// comes to its end has the lines of both: what a run before took stays known, listed or not.
type manifest struct {
	disk        disk.FS
	final, next string
	head        head      // of this run
	nextPrefix  string    // of the run in next
	file        disk.File // of next; nil before begin
	at          int64     // how long next is, as far as it has sense
	cursor      string    // the greatest key in next
	base        record.Seq
	resumed     bool               // next was there
	doubted     map[recordKey]line // appended by the run before, perhaps without a line
	old         *bufio.Scanner     // over final; nil: there is none
	oldFile     disk.File
	oldLine     *line // read from old, and not used yet
}

// openManifest reads how far an earlier run came. It writes nothing.
func openManifest(d disk.FS, source, prefix, log string) (*manifest, error) {
	id := sha256.Sum256([]byte(source))
	name := hex.EncodeToString(id[:8])
	m := &manifest{
		disk: d, final: name + ".ndjson", next: name + ".next", doubted: map[recordKey]line{},
		head: head{Manifest: manifestVersion, Source: source, Prefix: prefix, Log: log},
	}
	if d == nil {
		return m, nil
	}
	if err := m.readNext(); err != nil {
		return nil, fmt.Errorf("manifest %s: %w", m.next, err)
	}
	f, err := d.Open(m.final)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return nil, err
	}
	m.oldFile, m.old = f, bufio.NewScanner(io.NewSectionReader(f, 0, 1<<62))
	m.old.Buffer(nil, maxLine)
	return m, nil
}

// readNext reads the file of a run that was cut short.
func (m *manifest) readNext() error {
	f, err := m.disk.Open(m.next)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	size, err := f.Size()
	if err != nil {
		return err
	}
	lines := bufio.NewReaderSize(io.NewSectionReader(f, 0, size), 64<<10)
	for {
		raw, err := lines.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return err
		}
		if err == io.EOF || !m.readLine(raw) {
			break
		}
		m.at += int64(len(raw))
	}
	m.resumed = m.base > 0 || m.at > 0
	if size-m.at > maxTorn {
		return fmt.Errorf("it is damaged at byte %d of %d: take it away to look at every object again", m.at, size)
	}
	if m.resumed && m.head.Prefix != m.nextPrefix {
		return fmt.Errorf("a run over the prefix %q was cut short: let it come to its end first, with that prefix", m.nextPrefix)
	}
	return nil
}

// readLine takes a line of next; false if it has no sense.
func (m *manifest) readLine(raw []byte) bool {
	if len(bytes.TrimSpace(raw)) == 0 { // an end that was torn once
		return true
	}
	var l line
	var h head
	var o loose
	if json.Unmarshal(raw, &l) != nil || json.Unmarshal(raw, &h) != nil || json.Unmarshal(raw, &o) != nil {
		return false
	}
	switch {
	case o.Loose:
		m.doubted[recordKey{o.Bucket, o.Name}] = line{Size: o.Size, Seq: o.Seq, SHA256: o.SHA256}
		m.base = max(m.base, o.Seq)
	case h.Manifest != 0:
		m.nextPrefix = h.Prefix
		m.base = max(m.base, h.Base)
	case l.Key != "":
		m.cursor = max(m.cursor, l.Key)
		m.base = max(m.base, l.Seq)
	default:
		return false
	}
	return true
}

// begin makes next ready to be appended to: what a torn end has is blanked, and the head of this run stands in it, durably.
func (m *manifest) begin(base record.Seq) error {
	f, err := m.disk.OpenWrite(m.next)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = m.disk.Create(m.next)
	}
	if err != nil {
		return err
	}
	m.file = f
	size, err := f.Size()
	if err != nil {
		return err
	}
	if torn := size - m.at; torn > 0 {
		if err := m.write(append(bytes.Repeat([]byte{' '}, int(torn)), '\n')); err != nil {
			return err
		}
	}
	// In the order of their seqs, and before the head: wherever a power loss cuts this, the next run finds the rest.
	open := make([]loose, 0, len(m.doubted))
	for k, l := range m.doubted {
		open = append(open, loose{true, k.bucket, k.key, l.Size, l.Seq, l.SHA256})
	}
	slices.SortFunc(open, func(a, b loose) int { return cmp.Compare(a.Seq, b.Seq) })
	m.head.Base = base
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	for i := range open {
		if err := enc.Encode(&open[i]); err != nil {
			return err
		}
	}
	if err := enc.Encode(&m.head); err != nil {
		return err
	}
	if err := m.write(b.Bytes()); err != nil {
		return err
	}
	return m.disk.SyncDir(".")
}

func (m *manifest) write(b []byte) error {
	if _, err := m.file.WriteAt(b, m.at); err != nil {
		return err
	}
	if err := m.file.Sync(); err != nil {
		return err
	}
	m.at += int64(len(b))
	return nil
}

// add appends lines, durably.
func (m *manifest) add(lines []line) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	for i := range lines {
		if err := enc.Encode(&lines[i]); err != nil {
			return err
		}
	}
	if err := m.write(b.Bytes()); err != nil {
		return fmt.Errorf("write the manifest %s: %w", m.next, err)
	}
	return nil
}

// before is what an earlier run noted of a key; keys come in their order. What it noted of keys
// before that are not listed any more goes to carry, some at a time, until that returns false.
func (m *manifest) before(key string, carry func([]line) bool) (*line, error) {
	var skipped []line
	defer func() {
		if len(skipped) > 0 {
			carry(skipped)
		}
	}()
	for {
		if m.oldLine == nil {
			l, err := m.readOld()
			if err != nil || l == nil {
				return nil, err
			}
			m.oldLine = l
		}
		if key != "" && m.oldLine.Key > key {
			return nil, nil
		}
		l := m.oldLine
		m.oldLine = nil
		if l.Key == key {
			return l, nil
		}
		if l.Key <= m.cursor {
			continue
		}
		if skipped = append(skipped, *l); len(skipped) == batchRecords {
			if !carry(skipped) {
				return nil, nil
			}
			skipped = nil
		}
	}
}

// readOld is the next object in the manifest of the last run; nil at its end.
func (m *manifest) readOld() (*line, error) {
	for m.old != nil && m.old.Scan() {
		if len(bytes.TrimSpace(m.old.Bytes())) == 0 {
			continue
		}
		var l line
		if err := json.Unmarshal(m.old.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("manifest %s: %w: take it away to look at every object again", m.final, err)
		}
		if l.Key != "" {
			return &l, nil
		}
	}
	if m.old != nil {
		return nil, m.old.Err()
	}
	return nil, nil
}

// finish gives next, which is whole, its final name.
func (m *manifest) finish() error {
	if m.file == nil {
		return nil
	}
	if err := m.disk.Rename(m.next, m.final); err != nil {
		return err
	}
	return m.disk.SyncDir(".")
}

func (m *manifest) close() error {
	var errs []error
	if m.file != nil {
		errs = append(errs, m.file.Close())
	}
	if m.oldFile != nil {
		errs = append(errs, m.oldFile.Close())
	}
	return errors.Join(errs...)
}
