package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"indelible/internal/config"
	"indelible/internal/control"
	"indelible/internal/doctor"
	"indelible/internal/engine"
	"indelible/internal/ingest"
	"indelible/internal/local"
	"indelible/internal/logging"
	"indelible/internal/metrics"
	"indelible/internal/proof"
	"indelible/internal/recent"
	"indelible/internal/recorder"
	"indelible/internal/setup"
)

// Serve runs the daemon until ctx ends, and then stops it in order; nil is a
// clean stop. What it says to people goes to stderr, log lines too.
//
//	                      Append
//	doors ───────────────────────────▶ engine (spool, uploader, ledger) ──▶ store
//	   ▲  └──── Find, List ──▶ query ──┘  │
//	listeners ─▶ admin, socket ─▶ catalog, status ─▶ metrics
//
// Start: engine, ports, a match of the log in the destination, doors, admin and socket, run.json.
// Stop: doors, drain, engine (a clean stop, the last checkpoint), admin and socket, run.json, then what the engine has open.
func Serve(ctx context.Context, l *config.Loaded, stderr io.Writer) error {
	c := &l.Config
	log := logging.New(c.Log.Format, c.Log.Level, stderr)
	m, disk := metrics.New(), local.DiskWatch{Dir: c.Data, Reserve: int64(c.Spool.ReserveBytes)}
	e, err := setup.Engine(ctx, l, log, setup.Events{Upload: m.UploadEvents(), Spool: m.SpoolEvents()})
	if err != nil {
		return err
	}
	warnUnfinished(l, log)
	if t, ok := doctor.TasksOf(0); ok && t.Scarce() != "" {
		log.Warn(t.Scarce(), "do", doctor.TasksRemedy)
	}
	d := &daemon{loaded: l, config: c, log: log, metrics: m, disk: disk, engine: e, recent: recent.Of(e)}
	d.live = control.NewLive(control.Source{
		Status: d.statusFor, Recent: d.recent.Recent, Senders: d.recent.Senders,
	})
	// Senders find an open port and are held while the log is matched: one that was refused would
	// give its record up after a few tries.
	if err = d.listen(); err == nil {
		if err = d.match(ctx); err == nil && ctx.Err() == nil {
			err = d.run(ctx, stderr)
		} else {
			err = errors.Join(err, d.closeListeners())
		}
	}
	return errors.Join(err, e.Close())
}

// daemon is what runs between opening and closing the engine. Its fields are
// set before anything starts, and then only read.
type daemon struct {
	loaded  *config.Loaded
	config  *config.Config
	log     *slog.Logger
	metrics *metrics.Metrics
	disk    local.DiskWatch
	engine  *engine.Engine
	recent  *recent.Records    // the engine, as the doors append to it
	live    *control.Live      // what open dashboards see
	proxy   *recorder.Recorder // nil without the proxy
	otlp    *ingest.Meter      // of the OTLP door; nil without the HTTP door
	ready   atomic.Bool        // the doors take records
	// madeToken opens the admin API where no token is configured; else "".
	madeToken string
	servers   []*server
	answers   *local.Service // set by listen
}

// matchPatience bounds how long senders are held while the destination is asked for the log.
const matchPatience = 3 * time.Second

// match compares the log in the destination with the data directory before anything is acknowledged. One
// that answers with errors is asked again until matchPatience ends. A destination that does not answer keeps nobody from acknowledging: then delivery waits for the match.
func (d *daemon) match(ctx context.Context) error {
	err := d.engine.AwaitMatch(ctx, matchPatience)
	if err == nil || errors.Is(err, proof.ErrForked) {
		return err
	}
	if d.engine.Suspect() {
		return fmt.Errorf("the log was found forked in another destination, and this one cannot be asked: %w", err)
	}
	return nil
}

// server is an HTTP server and where it listens.
type server struct {
	*ingest.Server
	ln    net.Listener
	at    config.Listener
	door  *door         // nil: the admin listener or the socket. Doors are stopped first
	meter *ingest.Meter // of the door
	since time.Time     // when it was opened
}

func (s *server) serve() error { return s.Serve(s.ln) }

func (s *server) addr() string { return s.ln.Addr().String() }

// background are the parts that run beside the servers until everything is delivered.
func (d *daemon) background() []func(context.Context) error {
	return []func(context.Context) error{d.engine.Run, d.live.Run, d.answers.RunIndex}
}

func (d *daemon) run(ctx context.Context, stderr io.Writer) (err error) {
	// What fills a disk leaves only if serve starts on it: it does without these files.
	if err := d.loaded.Remember(); err != nil {
		d.log.Warn("commands have to be told the destination", "error", err)
	}
	if err := d.running().Write(d.config.Data); err != nil {
		d.log.Warn("nothing on the disk says where the doors are", "error", err)
	}
	defer func() { err = errors.Join(err, d.remove(control.RunFile), d.remove(control.SocketFile)) }()

	// Everything that runs is owned by this group: whatever fails first ends the rest.
	g, failed := errgroup.WithContext(context.WithoutCancel(ctx))
	running, stopRunning := context.WithCancel(failed)
	for _, part := range d.background() {
		g.Go(func() error { return part(running) })
	}
	for _, s := range d.servers {
		g.Go(s.serve)
	}
	d.ready.Store(true)
	d.banner(stderr)
	g.Go(func() error { return d.recoverExchanges(running) })

	select {
	case <-ctx.Done():
	case <-failed.Done():
	}
	d.ready.Store(false)
	d.stop(failed)
	stopRunning()
	d.closeServers()
	if err := g.Wait(); err != nil {
		return err // killed in good order is killed all the same: the next start says so
	}
	d.engine.Stop(context.WithoutCancel(ctx))
	return nil
}

// listen opens every door, the admin listener and the socket, and puts a server behind
// each; none of them serves yet.
func (d *daemon) listen() (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, d.closeListeners())
		}
	}()
	d.answers = local.OfEngine(d.engine, d.config, d.log.With("component", "index"), d.statusFor)
	d.metrics.Watch(d.status)
	for _, at := range d.config.Open() {
		ln, err := ingest.Listen(at, d.log)
		if err != nil {
			return err
		}
		s := &server{ln: ln, at: at, door: doorNamed(at.Name), since: time.Now().UTC()}
		d.servers = append(d.servers, s)
		if s.door != nil {
			s.Server, s.meter, err = s.door.server(d, at)
		} else {
			var admin http.Handler
			admin, err = d.adminHandler(d.answers)
			s.Server = d.plainServer(admin)
		}
		if err != nil {
			return err
		}
	}
	ln, err := control.ListenSocket(d.config.Data)
	if err != nil {
		return err
	}
	d.servers = append(d.servers, &server{Server: d.plainServer(control.API(d.answers)), ln: ln})
	return nil
}

// status is the daemon's.
func (d *daemon) status() (control.Status, error) {
	s, err := local.EngineStatus(d.engine, d.disk, string(d.config.Destination.URL))
	if err != nil {
		return s, err
	}
	for _, server := range d.servers {
		if server.door != nil {
			s.Doors[server.door.name] = d.doorStatus(server, server.door.name, server.meter)
			if server.door.name == "http" {
				s.Doors["otlp"] = d.doorStatus(server, "otlp", d.otlp)
			}
		}
	}
	return s, nil
}

func (d *daemon) statusFor(context.Context) (control.Status, error) { return d.status() }

// stopSlack is how much longer than the longest hold a stop waits for requests in flight.
const stopSlack = 5 * time.Second

// stop closes the doors, has what is in flight answered, and delivers for
// shutdown.drain more.
func (d *daemon) stop(ctx context.Context) {
	d.log.Info("stopping: the doors are closed, requests in flight are answered")
	inFlight, cancel := context.WithTimeout(ctx, time.Duration(max(d.config.Doors.S3.MaxHold, d.config.Doors.HTTP.MaxHold))+stopSlack)
	defer cancel()
	var doors []*ingest.Server
	for _, s := range d.servers {
		if s.door != nil {
			doors = append(doors, s.Server)
		}
	}
	if err := errors.Join(ingest.ShutdownAll(inFlight, doors...)...); err != nil {
		d.log.Warn("requests in flight are cut; their senders got no ack", "error", err)
	}
	if d.proxy != nil {
		ending, cancel := context.WithTimeout(ctx, stopSlack)
		if err := d.proxy.Close(ending); err != nil {
			d.log.Warn("exchanges were cut before they were recorded; the next start records what had passed", "error", err)
		}
		cancel()
	}
	if err := d.engine.Spool().Sync(); err != nil {
		d.log.Error("the spool could not be synced; everything acked is durable all the same", "error", err)
	}
	drain, cancel := context.WithTimeout(ctx, time.Duration(d.config.Shutdown.Drain))
	defer cancel()
	if err := d.engine.Drain(drain); err != nil {
		st := d.engine.Stats()
		unproven := st.Upload.Unproven
		if pending := st.Spool.Pending - min(st.Spool.Pending, unproven); pending > 0 {
			d.log.Warn("stopped before everything was delivered; the next start goes on", "pending", pending, "unproven", unproven)
		} else {
			d.log.Warn("stopped before a checkpoint covers everything that was delivered; the next start proves it", "unproven", unproven)
		}
	}
}

// remove takes away a file that tells of this process. Somebody may have done so already.
func (d *daemon) remove(name string) error {
	err := os.Remove(filepath.Join(d.config.Data, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
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

func (d *daemon) running() control.Running {
	r := control.Running{PID: os.Getpid()}
	for _, s := range d.servers {
		r.Listens(s.at.Name, s.addr())
	}
	return r
}

// warnUnfinished says where records of an earlier log still wait.
func warnUnfinished(l *config.Loaded, log *slog.Logger) {
	unfinished, err := engine.Unfinished(l.Config.Data)
	if err != nil {
		log.Warn("what was rescued cannot be read", "error", err)
	}
	for _, r := range unfinished {
		log.Warn("records of an earlier log wait to be brought into the destination", "log", r.From, "directory", r.Dir, "remedy", setup.RescueCommand(l))
	}
}
