package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"indelible/internal/config"
	"indelible/internal/proof"
	"indelible/internal/record"
	"indelible/internal/upload"
)

// ledger is the transparency log as the uploader uses it. The log is opened
// when the destination first answers: one that is down at the start keeps
// nobody from acknowledging. It is safe for concurrent use.
type ledger struct {
	rooms  *rooms
	base   string
	config string // digest of the configuration
	slog   *slog.Logger
	fatal  chan error // the first error that no retry helps; room for one

	log atomic.Pointer[proof.Log] // nil until it is open

	mu   sync.Mutex // held while the log is opened and while its key changes
	keys proof.Keys // under mu
}

var _ upload.Ledger = (*ledger)(nil)

func newLedger(r *rooms, l *config.Loaded, log *slog.Logger) (*ledger, error) {
	keys, err := openKeys(r, &l.Config)
	if err != nil {
		return nil, err
	}
	if keys.Made {
		log.Info("made the key that signs the log; keep a copy of it", "key", proof.KeyFile, "vkey", keys.Key.Public())
	}
	return &ledger{
		rooms: r, base: r.dest.objects.Base(), config: l.Digest(), slog: log, keys: keys,
		fatal: make(chan error, 1),
	}, nil
}

// openKeys reads the log's keys; the secret may come from outside the data directory.
func openKeys(r *rooms, c *config.Config) (proof.Keys, error) {
	secret, err := c.Proof.Secret()
	if err != nil {
		return proof.Keys{}, err
	}
	return proof.OpenKeys(r.data, proof.KeySource{Name: r.log, Secret: secret})
}

// get is the log, opened if it is not yet, with the leaf of this start in it.
func (l *ledger) get(ctx context.Context) (*proof.Log, error) {
	if log := l.log.Load(); log != nil {
		return log, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if log := l.log.Load(); log != nil {
		return log, nil
	}
	log, err := openLog(ctx, l.rooms, l.base, &l.keys, proof.Events{Failed: func(err error) { l.slog.Warn(err.Error()) }})
	if err != nil {
		return nil, err
	}
	if acked := l.rooms.spool.Stats().Acked; uint64(log.Next()) > acked+1 {
		return nil, fmt.Errorf("open log %s: in the bucket it has come to record %d, but this data directory has acknowledged only %d: another process writes this log, or the data directory is new or an old copy; give this one a log of its own (proof.name and another key, in a fresh data directory): %w", log.Name(), log.Next()-1, acked, proof.ErrForked)
	}
	if err := log.Start("indelible "+Version().Version, l.config, ""); err != nil {
		return nil, err
	}
	l.log.Store(log)
	return log, nil
}

// openLog opens the log, and finishes a change of key that was cut short.
func openLog(ctx context.Context, r *rooms, base string, keys *proof.Keys, events proof.Events) (*proof.Log, error) {
	log, err := proof.Open(ctx, r.dest.store, keys.Key, proof.Options{Disk: r.data, Base: base, Next: keys.Next, Events: events})
	if err != nil {
		return nil, err
	}
	if log.Public() != keys.Key.Public() {
		if err := proof.FinishRotation(r.data, keys); err != nil {
			return nil, err
		}
	}
	return log, nil
}

// with does something with the log, and notices when nothing will help it any more.
func (l *ledger) with(ctx context.Context, do func(*proof.Log) error) error {
	log, err := l.get(ctx)
	if err == nil {
		err = do(log)
	}
	if errors.Is(err, proof.ErrForked) || errors.Is(err, proof.ErrOrder) {
		select {
		case l.fatal <- err:
		default:
		}
	}
	return err
}

// Ready is upload.Ledger's: the log is open, and thus the one that the destination holds.
func (l *ledger) Ready(ctx context.Context) error {
	return l.with(ctx, func(*proof.Log) error { return nil })
}

// Add is upload.Ledger's.
func (l *ledger) Add(ctx context.Context, outcomes ...record.Outcome) error {
	return l.with(ctx, func(log *proof.Log) error { return log.Add(ctx, outcomes...) })
}

// Gap is upload.Ledger's.
func (l *ledger) Gap(ctx context.Context, gap record.GapError) error {
	return l.with(ctx, func(log *proof.Log) error { return log.Gap(ctx, gap) })
}

// Checkpoint is upload.Ledger's.
func (l *ledger) Checkpoint(ctx context.Context) error {
	return l.with(ctx, func(log *proof.Log) error { return log.Checkpoint(ctx) })
}

// run opens the log and keeps its heartbeat until ctx ends. Its error says that the log can go no further.
func (l *ledger) run(ctx context.Context, every time.Duration) error {
	wait := time.Second
	for said := false; ; {
		err := l.with(ctx, func(*proof.Log) error { return nil })
		if err == nil || ctx.Err() != nil {
			break
		}
		if !said {
			l.slog.Warn("the log cannot be opened yet; records are acknowledged, and delivered once it is", "error", err)
			said = true
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-l.fatal:
			return err
		case <-time.After(wait):
		}
		wait = min(2*wait, 30*time.Second)
	}
	heart := make(chan error, 1)
	go func() {
		if log, err := l.get(ctx); err == nil {
			heart <- log.Run(ctx, every)
		} else {
			heart <- nil
		}
	}()
	select {
	case err := <-l.fatal:
		return err
	case err := <-heart:
		return err
	}
}

// stopPatience bounds how long a stop waits for the last checkpoint.
const stopPatience = 10 * time.Second

// stop writes the leaf of a clean stop and the last checkpoint. Where the
// destination does not answer, both are on the disk, and go out with the next start.
func (l *ledger) stop(ctx context.Context) {
	log := l.log.Load()
	if log == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, stopPatience)
	defer cancel()
	if err := log.Stop(ctx); err != nil {
		l.slog.Warn("the last checkpoint could not be published; the next start does it", "error", err)
	}
}

// rotate changes the key that signs the log, and returns the new public key.
func (l *ledger) rotate(ctx context.Context, c *config.Config) (string, error) {
	if c.Proof.Key != "" || c.Proof.KeyFile != "" {
		return "", errOutsideKey
	}
	log, err := l.get(ctx)
	if err != nil {
		return "", err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return rotate(ctx, l.rooms, log, &l.keys)
}

var errOutsideKey = errors.New("the key comes from outside the data directory (INDELIBLE_LOG_KEY or proof.key_file): put it into <data>/log.key, take the setting out, rotate, and hand the new log.key to whatever keeps it")

// rotate makes the next key, has the log change to it, and puts it into place.
func rotate(ctx context.Context, r *rooms, log *proof.Log, keys *proof.Keys) (string, error) {
	if err := proof.BeginRotation(r.data, keys); err != nil {
		return "", err
	}
	if log.Public() != keys.Next.Public() { // else an attempt before came through after all
		if err := log.Rotate(ctx, keys.Next); err != nil {
			return "", err
		}
	}
	if err := proof.FinishRotation(r.data, keys); err != nil {
		return "", err
	}
	return keys.Key.Public(), nil
}

// stats is what the log says of itself; zero before it is open.
func (l *ledger) stats() proof.Stats {
	if log := l.log.Load(); log != nil {
		return log.Stats()
	}
	return proof.Stats{}
}
