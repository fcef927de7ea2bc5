package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"indelible/internal/config"
	"indelible/internal/ingest/jsonapi"
	"indelible/internal/ingest/s3api"
	"indelible/internal/ingest/sigv4"
	"indelible/internal/record"
	"indelible/internal/spool"
	"indelible/internal/store"
	"indelible/internal/upload"
)

// Serve runs the daemon until ctx ends, and then stops it in order; nil is a
// clean stop. What it says to people goes to stderr, log lines too.
//
//	                      Append                 Entries, Settle, Release
//	doors ───────────────────────────▶ spool ◀──────────────────────────── uploader ──▶ store
//	   ▲  └──── Find, List ──▶ query ──┘  └─────────────────┐                            ▲
//	   │                         └───────────────────────── │ ───────── Get, List ───────┘
//	   │                         ▲                          │
//	listeners ─▶ admin, socket ─▶ desk ─▶ status ─▶ metrics ┘
//
// Between stored and released the uploader has the ledger prove what it delivered.
//
// Start: lock, log name, spool, store, key, uploader and ledger, doors, admin and socket, run.json.
// Stop: doors, drain, uploader, ledger (a clean stop, the last checkpoint), admin and socket, run.json, store, spool, lock.
func Serve(ctx context.Context, l *config.Loaded, stderr io.Writer) error {
	c := &l.Config
	log := newLogger(c.Log, stderr)
	m := newMetrics()
	r, err := openRooms(ctx, c, spool.Options{Events: m.spoolEvents(), Logger: log.With("room", "spool")})
	if err != nil {
		return err
	}
	ledger, err := newLedger(r, l, log.With("room", "proof"))
	if err != nil {
		return errors.Join(err, r.close())
	}
	d := &daemon{config: c, log: log, metrics: m, rooms: r, ledger: ledger, tallies: map[string]*tally{}}
	return errors.Join(d.run(ctx, stderr), r.close())
}

// daemon is what runs between opening and closing the rooms. Its fields are
// set before anything starts, and then only read.
type daemon struct {
	config   *config.Config
	log      *slog.Logger
	metrics  *metrics
	rooms    *rooms
	ledger   *ledger
	uploader *upload.Uploader
	tallies  map[string]*tally // by door
	admin    admin
	servers  []*server
}

// server is an HTTP server and where it listens. Doors are stopped first.
type server struct {
	*http.Server
	ln   net.Listener
	at   config.Listener
	door bool
}

func (d *daemon) run(ctx context.Context, stderr io.Writer) (err error) {
	if sweep := d.rooms.dest.sweep; sweep != nil {
		if err := sweep(time.Now()); err != nil {
			d.log.Warn("what a crash left in the destination could not be removed", "error", err)
		}
	}
	d.uploader = upload.New(d.uploadOptions())
	if err := d.listen(); err != nil {
		return err
	}
	running := d.running()
	if err := running.write(d.config.Data); err != nil {
		return errors.Join(err, d.closeListeners())
	}
	defer func() { err = errors.Join(err, os.Remove(filepath.Join(d.config.Data, runFile))) }()
	defer func() { err = errors.Join(err, os.Remove(filepath.Join(d.config.Data, socketFile))) }()

	// Everything that runs is owned by this group: whatever fails first ends the rest.
	g, failed := errgroup.WithContext(context.WithoutCancel(ctx))
	uploading, stopUploading := context.WithCancel(failed)
	g.Go(func() error { return d.uploader.Run(uploading) })
	g.Go(func() error { return d.ledger.run(uploading, d.config.Proof.CheckpointEvery) })
	for _, s := range d.servers {
		g.Go(s.serve)
	}
	d.admin.ready.Store(true)
	d.greet(stderr)

	select {
	case <-ctx.Done():
	case <-failed.Done():
	}
	d.admin.ready.Store(false)
	d.stop(failed)
	stopUploading()
	d.closeServers()
	if err := g.Wait(); err != nil {
		return err // killed in good order is killed all the same: the next start says so
	}
	d.ledger.stop(context.WithoutCancel(ctx))
	return nil
}

// listen opens every door, the admin listener and the socket, and puts a server behind
// each; none of them serves yet.
func (d *daemon) listen() error {
	desk := newDesk(d.rooms)
	desk.status = func(context.Context) (Status, error) { return d.status() }
	desk.redrive = d.redrive
	desk.proven = func() record.Seq { return d.ledger.stats().Proven }
	desk.rotate = func(ctx context.Context) (string, error) { return d.ledger.rotate(ctx, d.config) }
	d.metrics.registry.MustRegister(newSnapshot(d.status, d.states()))
	d.admin.token = d.config.Admin.Token
	for _, at := range d.config.Open() {
		ln, err := listen(at)
		if err != nil {
			return errors.Join(err, d.closeListeners())
		}
		s := &server{ln: ln, at: at, door: at.Name != "admin"}
		d.servers = append(d.servers, s)
		if !s.door {
			s.Server = d.plainServer(d.admin.handler(desk, d.metrics.registry))
			continue
		}
		t := newTally(at.Name, ln.Addr().String(), d.metrics)
		d.tallies[at.Name] = t
		serve := d.s3Server
		if at.Name == "http" {
			serve = d.httpServer
		}
		if s.Server, err = serve(t); err != nil {
			return errors.Join(err, d.closeListeners())
		}
	}
	ln, err := listenSocket(d.config.Data)
	if err != nil {
		return errors.Join(err, d.closeListeners())
	}
	d.servers = append(d.servers, &server{Server: d.plainServer(api(desk)), ln: ln})
	return nil
}

func (d *daemon) s3Server(t *tally) (*http.Server, error) {
	c := d.config.Doors.S3
	v := &sigv4.Verifier{Trust: c.Trust || len(c.Keys) == 0, Keys: map[string]string{}}
	for _, k := range c.Keys {
		v.Keys[k.ID] = k.Secret
	}
	door, err := s3api.New(s3api.Options{
		Spool: d.rooms.spool, Records: d.rooms.query, Verifier: v,
		Bucket: c.Bucket, Domains: c.Domains, MaxHold: c.MaxHold,
		Events: s3api.Events{Acked: t.acked, Refused: t.refused},
		Log:    d.log.With("room", "s3api"),
	})
	if err != nil {
		return nil, err
	}
	return s3api.Server(door, d.log), nil
}

func (d *daemon) httpServer(t *tally) (*http.Server, error) {
	c := d.config.Doors.HTTP
	door, err := jsonapi.New(jsonapi.Options{
		Spool: d.rooms.spool, LogName: d.rooms.log, Tokens: c.Tokens, Bucket: c.Bucket,
		Keys:       jsonapi.Keys{Path: c.LiteLLM.Path, TeamPrefix: c.LiteLLM.TeamPrefix, KeyPrefix: c.LiteLLM.KeyPrefix, Hours: c.LiteLLM.Partition == "hour"},
		MaxRequest: c.MaxRequest, MaxHold: c.MaxHold,
		Events: jsonapi.Events{Acked: t.acked, Refused: t.refused},
		Log:    d.log.With("room", "jsonapi"),
	})
	if err != nil {
		return nil, err
	}
	err = door.Remember(time.Now(), func(prefix string) iter.Seq2[record.Info, error] {
		return d.rooms.spool.Keys(context.Background(), c.Bucket, prefix, "")
	})
	if err != nil {
		return nil, err
	}
	return jsonapi.Server(door, d.log), nil
}

func (d *daemon) plainServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 20 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(d.log.Handler(), slog.LevelDebug),
	}
}

func (d *daemon) uploadOptions() upload.Options {
	u := d.config.Upload
	return upload.Options{
		Source: d.rooms.spool, Store: d.rooms.dest.store, Layout: d.rooms.dest.objects, Log: d.rooms.log,
		Ledger: d.ledger, CheckpointEvery: d.config.Proof.CheckpointEvery,
		Logger: d.log.With("room", "upload"), MaxConcurrency: d.config.Destination.MaxConcurrency,
		BackoffMin: u.BackoffMin, BackoffMax: u.BackoffMax, AttemptTimeout: u.AttemptTimeout,
		Events: upload.Events{
			Attempt:   func(result string, _ time.Duration) { d.metrics.attempts.WithLabelValues(result).Inc() },
			Retry:     func(cause store.Class) { d.metrics.retries.WithLabelValues(cause.String()).Inc() },
			Collision: func(record.Outcome) { d.rooms.spool.Collided(1) },
		},
	}
}

func (s *server) serve() error {
	err := s.Serve(s.ln)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve %s: %w", s.ln.Addr(), err)
}

// stopSlack is how much longer than the longest hold a stop waits for requests in flight.
const stopSlack = 5 * time.Second

// stop closes the doors, has what is in flight answered, and delivers for
// shutdown.drain more.
func (d *daemon) stop(ctx context.Context) {
	d.log.Info("stopping: the doors are closed, requests in flight are answered")
	inFlight, cancel := context.WithTimeout(ctx, max(d.config.Doors.S3.MaxHold, d.config.Doors.HTTP.MaxHold)+stopSlack)
	defer cancel()
	for _, s := range d.servers {
		if !s.door {
			continue
		}
		if err := s.Shutdown(inFlight); err != nil {
			d.log.Warn("requests in flight are cut; their senders got no ack", "door", s.at.Name, "error", err)
			_ = s.Close()
		}
	}
	if err := d.rooms.spool.Sync(); err != nil {
		d.log.Error("the spool could not be synced; everything acked is durable all the same", "error", err)
	}
	drain, cancel := context.WithTimeout(ctx, d.config.Shutdown.Drain)
	defer cancel()
	if err := d.uploader.Drain(drain); err != nil {
		st, _ := d.status()
		d.log.Warn("stopped before everything was delivered; the next start goes on", "pending", st.Pending)
	}
}

// closeServers ends what still serves: operators could watch until here.
func (d *daemon) closeServers() {
	for _, s := range d.servers {
		_ = s.Close()
	}
}

func (d *daemon) closeListeners() error {
	var errs []error
	for _, s := range d.servers {
		errs = append(errs, s.ln.Close())
	}
	return errors.Join(errs...)
}

func (d *daemon) running() Running {
	r := Running{PID: os.Getpid()}
	for _, s := range d.servers {
		switch s.at.Name {
		case "s3":
			r.S3 = s.ln.Addr().String()
		case "http":
			r.HTTP = s.ln.Addr().String()
		case "admin":
			r.Admin = s.ln.Addr().String()
		}
	}
	return r
}

// redrive brings everything that was set aside back into delivery: quarantined
// records are deferred ones from now on, and those are tried at once.
func (d *daemon) redrive(ctx context.Context) (int, error) {
	if _, err := d.rooms.spool.Redrive(ctx, 0); err != nil {
		return 0, err
	}
	d.uploader.Redrive()
	return int(d.rooms.spool.Stats().Deferred), nil
}
