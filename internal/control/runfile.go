package control

import (
	"encoding/json"
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

// RunFile is its name in the data directory.
const RunFile = "run.json"

// Write puts run.json in place, whole or not at all. It need not survive a
// power loss: it speaks of a process that would not either.
func (r Running) Write(dataDir string) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	temp := filepath.Join(dataDir, RunFile+".new")
	if err := os.WriteFile(temp, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", RunFile, err)
	}
	return os.Rename(temp, filepath.Join(dataDir, RunFile))
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
