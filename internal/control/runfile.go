package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Running is what <data>/run.json says while a daemon runs: its process, and
// the addresses that it really listens on. It holds only what listens.
type Running struct {
	PID   int    `json:"pid"`
	S3    string `json:"s3,omitempty"`
	HTTP  string `json:"http,omitempty"`
	Proxy string `json:"proxy,omitempty"`
	Admin string `json:"admin,omitempty"`
}

// addr is where the address of the listener of that name stands; nil: there is none of that name.
func (r *Running) addr(listener string) *string {
	switch listener {
	case "s3":
		return &r.S3
	case "http":
		return &r.HTTP
	case "proxy":
		return &r.Proxy
	case "admin":
		return &r.Admin
	}
	return nil
}

// Listens notes the address of a listener.
func (r *Running) Listens(listener, addr string) {
	if p := r.addr(listener); p != nil {
		*p = addr
	}
}

// Addr is the address of a listener; "" if it is off.
func (r *Running) Addr(listener string) string {
	if p := r.addr(listener); p != nil {
		return *p
	}
	return ""
}

// RunFile is its name in the data directory.
const RunFile = "run.json"

// Write puts run.json in place, whole or not at all. It need not survive a
// power loss: it speaks of a process that would not either.
func (r Running) Write(dataDir string) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	b = append(append(b, bytes.Repeat([]byte(" "), max(0, runFileSize-1-len(b)))...), '\n')
	name, temp := filepath.Join(dataDir, RunFile), filepath.Join(dataDir, RunFile+".new")
	if err := os.WriteFile(temp, b, 0o600); err != nil {
		if overwrite(name, b) == nil {
			return nil
		}
		return fmt.Errorf("write %s: %w", RunFile, err)
	}
	return os.Rename(temp, name)
}

// runFileSize is how long run.json is at least, so that the next process finds room in it on a full disk.
const runFileSize = 512

// overwrite writes into the file that a killed process left, where a full disk has no room for another.
func overwrite(name string, b []byte) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if info.Size() != int64(len(b)) {
		return fmt.Errorf("%s has another size", name)
	}
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	return errors.Join(err, f.Close())
}

// ReadRunning reads run.json; it fails with fs.ErrNotExist where there is none.
// After a kill a stale one may be there: only the socket tells who lives.
func ReadRunning(dataDir string) (Running, error) {
	var r Running
	b, err := os.ReadFile(filepath.Join(dataDir, RunFile))
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(b, &r)
}
