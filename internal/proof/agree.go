package proof

import (
	"bytes"
	"context"
	"errors"

	"indelible/internal/store"
)

// That a log was forked is final. One answer that was changed on its way, or was another
// object's, must not bring it about: it takes two that agree.

// twice asks again where the answer was ErrForked.
func twice(ctx context.Context, ask func() error) error {
	err := ask()
	if !errors.Is(err, ErrForked) {
		return err
	}
	if perr := pause(ctx, 1, err); perr != nil {
		return perr
	}
	return ask()
}

// getUnless reads one of the log's own objects. Where the bytes are not what is expected it reads them
// again, and fails with an error that passes where the two readings differ.
func (l *Log) getUnless(ctx context.Context, name string, expected func([]byte) bool) ([]byte, store.Info, error) {
	first, info, err := l.get(ctx, name)
	if err != nil || expected(first) {
		return first, info, err
	}
	if err := pause(ctx, 1, nil); err != nil {
		return nil, info, err
	}
	second, info, err := l.get(ctx, name)
	if err == nil && !bytes.Equal(first, second) && !expected(second) {
		err = &store.Error{Op: "get", Key: l.dir + name, Class: store.Ambiguous, Err: errors.New("two readings gave different bytes")}
	}
	return second, info, err
}
