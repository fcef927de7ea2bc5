// Command compare runs Indelible and other ways of getting records into S3 through the same
// accidents, on this machine and in one run, and counts in the buckets what became of the records
// that were acked:
//
//	go run ./test/compare
//	go run ./test/compare -only collector -accidents power -json figures.json
//
// It builds or installs what it compares with from registries, with versions pinned in this
// tree. docs/comparison.md says what each figure means and what is unfair.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"indelible/internal/testserver"
	"indelible/internal/torture/driver"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	if len(os.Args) == 5 && os.Args[1] == plainCommand {
		err = servePlain(ctx, os.Args[2], os.Args[3], os.Args[4])
	} else {
		err = run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

// figures is what a run comes to.
type figures struct {
	Time      time.Time `json:"time"`
	Peers     []version `json:"peers"`
	Accidents []outcome `json:"accidents"`
	Speeds    []speed   `json:"speeds"`
}

type version struct {
	Peer, Setting, Version, Acked string
}

func run(ctx context.Context) (err error) {
	only := flag.String("only", "", "peers whose name and setting match this regular expression; all when empty")
	which := flag.String("accidents", "", "accidents whose name contains this; all when empty, none with -")
	outage := flag.Duration("outage", 20*time.Second, "how long S3 or the disk are away")
	measure := flag.Duration("measure", 5*time.Second, "how long each peer is sent as much as it acks; 0: not at all")
	most := flag.Int("most", 20000, "records in that time, at most")
	file := flag.String("json", "", "file for the figures")
	keep := flag.Bool("keep", false, "keep the temporary directory, with the peers' logs")
	flag.Parse()

	work, err := os.MkdirTemp("", "compare-")
	if err != nil {
		return err
	}
	if *keep {
		fmt.Fprintln(os.Stderr, "logs are in", work)
	} else {
		defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	}
	peers, err := gather(ctx, work, *only)
	if err != nil {
		return err
	}
	b := &bench{work: work, outage: *outage}
	if b.s3, err = testserver.StartVersitygw(ctx, filepath.Join(work, "s3")); err != nil {
		return err
	}
	defer b.s3.Stop()
	if _, err := os.Stat("/dev/fuse"); err == nil {
		b.forgetfs = filepath.Join(work, "forgetfs")
		if err := driver.BuildForgetfs(ctx, ".", b.forgetfs); err != nil {
			return err
		}
	}

	f := figures{Time: time.Now().UTC()}
	for _, p := range peers {
		f.Peers = append(f.Peers, version{p.name, p.setting, p.version, p.acked})
	}
	for n, a := range accidents {
		if *which == "-" || *which != "" && !strings.Contains(a.name, *which) {
			continue
		}
		if a.onDisk && b.forgetfs == "" {
			fmt.Fprintf(os.Stderr, "%s: left out, it needs FUSE\n", a.name)
			continue
		}
		f.Accidents = append(f.Accidents, b.all(ctx, peers, a, n)...)
	}
	if *measure > 0 {
		for n, p := range peers {
			fmt.Fprintf(os.Stderr, "measure %s, %s:", p.name, p.setting)
			s := b.measure(ctx, p, fmt.Sprintf("speed-%d", n), *measure, *most)
			fmt.Fprintf(os.Stderr, " %.0f acks/s with S3 away, %.0f with S3 there %s\n", s.Away.Rate, s.There.Rate, first(s.Failed))
			f.Speeds = append(f.Speeds, s)
		}
	}
	f.print(os.Stdout)
	if *file != "" {
		out, err := json.MarshalIndent(f, "", " ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(*file, append(out, '\n'), 0o600); err != nil {
			return err
		}
	}
	return errors.Join(ctx.Err(), f.wrong())
}

// all has an accident happen to all peers at once: at these rates they do not disturb each other.
func (b *bench) all(ctx context.Context, peers []*peer, a accident, n int) []outcome {
	outcomes := make([]outcome, len(peers))
	var wg sync.WaitGroup
	for i, p := range peers {
		if a.onDisk && !p.onDisk {
			outcomes[i] = outcome{Peer: p.name, Setting: p.setting, Accident: a.name, Failed: "keeps nothing on a disk: what it has dies as with kill -9"}
			continue
		}
		wg.Go(func() { outcomes[i] = b.run(ctx, p, fmt.Sprintf("a%d-p%d", n, i), a) })
	}
	fmt.Fprintf(os.Stderr, "%s\n", a.name)
	wg.Wait()
	return outcomes
}

// gather makes what is compared, as far as only asks for it.
func gather(ctx context.Context, work, only string) ([]*peer, error) {
	wanted, err := regexp.Compile("(?i)" + only)
	if err != nil {
		return nil, err
	}
	var peers []*peer
	for _, c := range candidates(ctx, work) {
		if !wanted.MatchString(c.name + " " + c.setting) {
			continue
		}
		p, err := c.make()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		p.name, p.setting = c.name, c.setting
		peers = append(peers, p)
	}
	if len(peers) == 0 {
		return nil, fmt.Errorf("no peer is called %q", only)
	}
	return peers, nil
}

// candidate is a peer that is not made yet.
type candidate struct {
	name, setting string
	make          func() (*peer, error)
}

// candidates are all that there are, each in the settings that its documentation names.
func candidates(ctx context.Context, work string) []candidate {
	all := []candidate{{"Indelible", "S3 door", func() (*peer, error) {
		binary, err := buildIndelible(ctx, work)
		return indelible(binary), err
	}}}
	const queueOnDisk = "extensions: {file_storage: {directory: DATA/queue, create_directory: true%s}}"
	for _, s := range []collectorSetting{
		{setting: "defaults: no queue", acked: "in the bucket"},
		{setting: "sending_queue, its defaults", acked: "in memory", holds: 900, exporter: "    sending_queue: {enabled: true}"},
		{setting: "persistent queue, its defaults", acked: "written, not synced", holds: 900, exporter: "    sending_queue: {enabled: true, storage: file_storage}", extensions: fmt.Sprintf(queueOnDisk, "")},
		{setting: "persistent queue of 100,000, fsync: true, retried for ever, unique keys", acked: "fsynced", holds: 99000, uploader: ", unique_key_func_name: uuidv7",
			exporter: "    sending_queue: {enabled: true, storage: file_storage, queue_size: 100000}\n    retry_on_failure: {max_elapsed_time: 0s}", extensions: fmt.Sprintf(queueOnDisk, ", fsync: true")},
	} {
		all = append(all, candidate{"OTel Collector", s.setting, func() (*peer, error) {
			binary, version, err := testserver.BuildCollector(ctx)
			return collector(binary, version, s), err
		}})
	}
	all = append(all, candidate{"plain PUT", "AWS SDK, its three attempts, after the answer", func() (*peer, error) {
		self, err := os.Executable()
		return plainPUT(self, moduleVersion("github.com/aws/aws-sdk-go-v2/service/s3")), err
	}})
	lite := func(setting, params string, env ...string) candidate {
		return candidate{"LiteLLM s3_v2", setting, func() (*peer, error) {
			const pins = "test/litellm/testdata/requirements-proxy.txt"
			python, err1 := testserver.MakePython(ctx, pins)
			version, err2 := pinned(pins, "litellm")
			return liteLLM(python, version, params, env...), errors.Join(err1, err2)
		}}
	}
	return append(all, lite("its defaults", ""),
		lite("never given up, flushed every second", ", s3_max_retry_age_seconds: 0, s3_drop_on_terminal_error: false", "DEFAULT_S3_FLUSH_INTERVAL_SECONDS=1"))
}

// buildIndelible builds this tree's program as it is shipped.
func buildIndelible(ctx context.Context, work string) (string, error) {
	binary := filepath.Join(work, "indelible")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "indelible/cmd/indelible")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, out)
	}
	return binary, nil
}

// pinned is the version that a requirements file has of a package.
func pinned(file, name string) (string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), name+"=="); ok {
			return v, nil
		}
	}
	return "", fmt.Errorf("%s does not pin %s", file, name)
}

// moduleVersion is the version of a module in this program.
func moduleVersion(path string) string {
	info, ok := debug.ReadBuildInfo()
	if ok {
		for _, m := range info.Deps {
			if m.Path == path {
				return m.Version
			}
		}
	}
	return "unknown"
}
