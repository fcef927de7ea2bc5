package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"indelible/internal/proof"
	"indelible/internal/record"
)

func acknowledgesNothing(t *testing.T, e *Engine) {
	t.Helper()
	r := record.Record{Door: "lib", Key: "late", Body: strings.NewReader("x"), Size: -1}
	before := e.spool.Stats().Acked
	if _, err := e.Append(t.Context(), r); !errors.Is(err, record.ErrClosed) {
		t.Errorf("append: %v", err)
	}
	if _, err := e.AppendAll(t.Context(), []record.Record{r}); !errors.Is(err, record.ErrClosed) {
		t.Errorf("append all: %v", err)
	}
	if after := e.spool.Stats().Acked; after != before {
		t.Errorf("%d records were written all the same", after-before)
	}
}

// A fork that a change of key comes upon is as final as any other.
func TestForkFoundByRotateIsRemembered(t *testing.T) {
	_, o := forkedCopy(t, false)
	e := openEngine(t, o)
	if _, err := e.Rotate(t.Context()); !errors.Is(err, proof.ErrForked) {
		t.Errorf("rotate: %v", err)
	}
	acknowledgesNothing(t, e)
	if _, err := os.Stat(filepath.Join(o.Dir, forkFile)); err != nil {
		t.Error(err)
	}
}

// A fork that cannot be written down ends acknowledging all the same, and says what to do.
func TestForkThatCannotBeRemembered(t *testing.T) {
	_, o := forkedCopy(t, false)
	if err := os.MkdirAll(filepath.Join(o.Dir, forkFile+".new", "x"), 0o700); err != nil { // it cannot be removed, nor made
		t.Fatal(err)
	}
	e := openEngine(t, o)
	err := e.Match(t.Context())
	if f, ok := errors.AsType[*ForkedError](err); !ok || !errors.Is(err, proof.ErrForked) || f.Log != e.Name() {
		t.Errorf("match: %v", err)
	}
	if err == nil || !strings.Contains(err.Error(), "make room in "+o.Dir) {
		t.Errorf("it does not say what to do: %v", err)
	}
	acknowledgesNothing(t, e)
}

// A disk that refuses says nothing of the key.
func TestKeyErrorOfTheDisk(t *testing.T) {
	e := &Engine{}
	for _, err := range []error{
		&os.PathError{Op: "open", Path: "log.key", Err: syscall.EIO},
		&os.LinkError{Op: "rename", Old: "log.key.new", New: "log.key", Err: syscall.ENOSPC},
		os.NewSyscallError("fsync", syscall.EIO),
	} {
		if _, stuck := errors.AsType[*StuckError](e.keyError(fmt.Errorf("open the key: %w", err))); stuck {
			t.Errorf("%v asks for a rescue", err)
		}
	}
	if _, stuck := errors.AsType[*StuckError](e.keyError(errors.New("the key is of another log"))); !stuck {
		t.Error("a wrong key asks for none")
	}
}
