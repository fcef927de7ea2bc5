package control_test

import (
	"os"
	"path/filepath"
	"testing"

	"indelible/internal/control"
)

// TestRunFileWithoutRoom writes run.json where no other file can be made, over the one that
// a killed process left.
func TestRunFileWithoutRoom(t *testing.T) {
	dir := t.TempDir()
	if err := (control.Running{PID: 1, S3: "127.0.0.1:9000"}).Write(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, control.RunFile+".new"), 0o700); err != nil { // nothing can be written there
		t.Fatal(err)
	}
	want := control.Running{PID: 123456, S3: "127.0.0.1:45678", HTTP: "[::1]:4318", Admin: "127.0.0.1:9001"}
	if err := want.Write(dir); err != nil {
		t.Fatal(err)
	}
	if got, err := control.ReadRunning(dir); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
}
