package recorder

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"indelible/internal/disk/osdisk"
	"indelible/internal/record"
)

// nothing takes no record.
type nothing struct{ t *testing.T }

func (n nothing) Append(context.Context, record.Record) (record.Receipt, error) {
	n.t.Error("a record of what cannot be read")
	return record.Receipt{}, nil
}

// A file whose first line is damaged holds an answer still: it is told and kept. One that was cut within that line holds none.
func TestRecoverKeepsWhatIsDamaged(t *testing.T) {
	root := t.TempDir()
	damaged, cut := filepath.Join(root, Dir, "1"+answerSuffix), filepath.Join(root, Dir, "2"+answerSuffix)
	err := errors.Join(os.Mkdir(filepath.Join(root, Dir), 0o700),
		os.WriteFile(damaged, []byte("{\"v\":1,\"ki\x00\ndata: the answer\n"), 0o600), os.WriteFile(cut, []byte(`{"v":1,"ki`), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	data, err := osdisk.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close() // only read
	r, err := New(Options{Log: nothing{t}, Door: "proxy", Data: data})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Recover(t.Context()); err == nil {
		t.Error("nothing is said of the damaged file")
	}
	if _, err := os.Stat(damaged); err != nil {
		t.Errorf("the damaged file: %v", err)
	}
	if _, err := os.Stat(cut); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the cut file: %v", err)
	}
}
