package engine

import (
	"context"
	"errors"

	"indelible/internal/proof"
)

// ErrOutsideKey: the signing key is kept outside the data directory, so it cannot be changed from here.
var ErrOutsideKey = errors.New("the key comes from outside the data directory (INDELIBLE_LOG_KEY or proof.key_file): put it into <data>/log.key, take the setting out, rotate, and hand the new log.key to whatever keeps it")

// Rotate changes the key that signs the log, and returns the new public key. Run need not be running.
func (e *Engine) Rotate(ctx context.Context) (vkey string, err error) {
	if e.ledger == nil {
		return "", errors.New("rotate the key: this log is not signed")
	}
	if e.opts.Proof.Secret != "" { // a program of proof.key is asked for its new key
		return "", ErrOutsideKey
	}
	err = e.ledger.with(ctx, func(log *proof.Log) error {
		e.ledger.mu.Lock()
		defer e.ledger.mu.Unlock()
		vkey, err = rotate(ctx, &e.Components, log, &e.ledger.keys)
		return err
	})
	return vkey, err
}

// rotate makes the next key, has the log change to it, and puts it into place.
func rotate(ctx context.Context, c *Components, log *proof.Log, keys *proof.Keys) (string, error) {
	if err := proof.BeginRotation(ctx, c.data, keys); err != nil {
		return "", err
	}
	if log.Public() != keys.Next.Public() { // else an earlier attempt came through after all
		if err := log.Rotate(ctx, keys.Next); err != nil {
			return "", err
		}
	}
	if err := proof.FinishRotation(c.data, keys); err != nil {
		return "", err
	}
	return keys.Key.Public(), nil
}
