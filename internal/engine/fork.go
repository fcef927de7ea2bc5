package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"indelible/internal/disk"
	"indelible/internal/proof"
)

// forkFile remembers that the log can go no further, so that no later start acknowledges anything on it.
const forkFile = "forked"

// fork is the content of forkFile.
type fork struct {
	Log         string    `json:"log"`
	Destination string    `json:"destination"`
	Since       time.Time `json:"since"`
	Reason      string    `json:"reason"`
}

// concerns says whether the fork was found in the destination of that identity, as far as is known.
func (f *fork) concerns(identity string) bool { return f.Destination == identity || f.Log == "" }

// ForkedError says that the log in the destination is not the one that this
// data directory wrote, or not any more. It is final: nothing is acknowledged
// on this log again. It wraps proof.ErrForked.
type ForkedError struct {
	Log    string
	Since  time.Time
	Reason string
	Rescue string // the command that brings the pending records into the bucket
}

func (e *ForkedError) Error() string {
	reason := strings.TrimSuffix(e.Reason, ": "+proof.ErrForked.Error())
	text := fmt.Sprintf("the log %s has been forked (found %s), and takes no more records: %s", e.Log, e.Since.UTC().Format(time.RFC3339), reason)
	return withRescue(text, e.Rescue)
}

func (e *ForkedError) Unwrap() error { return proof.ErrForked }

// withRescue has a message name the command that leads out, exactly as it is to be typed.
func withRescue(text, command string) string {
	const short = `"indelible rescue"`
	if strings.Contains(text, short) {
		return strings.ReplaceAll(text, short, `"`+command+`"`)
	}
	return text + `; "` + command + `" brings the records that wait here into the bucket under a new log`
}

// StuckError is an error of Open after which only a rescue brings the pending
// records into the bucket: a key, a name or a spool that do not belong together.
type StuckError struct {
	Err    error
	Rescue string
}

func (e *StuckError) Error() string { return withRescue(e.Err.Error(), e.Rescue) }

func (e *StuckError) Unwrap() error { return e.Err }

// remembered is the fork that this directory knows of; nil if there is none.
func remembered(data disk.FS) (*fork, error) {
	b, err := readAll(data, forkFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", forkFile, err)
	}
	var f fork
	if err := json.Unmarshal(b, &f); err != nil {
		// Whatever stands there, somebody found a fork.
		return &fork{Since: time.Time{}, Reason: fmt.Sprintf("the file %s is damaged: %v", forkFile, err)}, nil
	}
	return &f, nil
}

// remember makes a fork durable.
func remember(data disk.FS, f fork) error {
	b, err := json.Marshal(f)
	if err == nil {
		err = replace(data, forkFile, append(b, '\n'))
	}
	if err != nil {
		return fmt.Errorf("remember that the log has been forked: %w", err)
	}
	return nil
}

// forked is the error of a fork.
func (o *Options) forked(log string, f fork) *ForkedError {
	if f.Log != "" {
		log = f.Log
	}
	return &ForkedError{Log: log, Since: f.Since, Reason: f.Reason, Rescue: o.rescueCommand()}
}

func (o *Options) rescueCommand() string {
	if o.Rescue != "" {
		return o.Rescue
	}
	return "indelible rescue --data " + ShellQuote(o.Dir)
}

// ShellQuote is a word as a shell takes it.
func ShellQuote(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-:=@%+,", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// replace writes a small file durably: after a crash it holds its old content or the new one.
func replace(data disk.FS, name string, content []byte) error {
	temp := name + ".new"
	if err := data.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := data.Create(temp)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(content, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := data.Rename(temp, name); err != nil {
		return err
	}
	return data.SyncDir(".")
}

// readAll reads a small file.
func readAll(data disk.FS, name string) (b []byte, err error) {
	f, err := data.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return io.ReadAll(io.NewSectionReader(f, 0, 1<<20))
}
