package proof

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Witness is a witness that speaks C2SP tlog-witness: it cosigns a checkpoint
// only if that continues the one it cosigned before.
type Witness struct {
	URL string // the submission prefix: /add-checkpoint is below it
	Key string // its verifier key, for cosignatures of type 4 (Ed25519)
}

// ParseWitness reads a witness as a configuration has it: its URL, a space, and its key.
func ParseWitness(text string) (Witness, error) {
	url, key, _ := strings.Cut(strings.TrimSpace(text), " ")
	w := Witness{URL: url, Key: strings.TrimSpace(key)}
	_, err := parseWitnesses([]Witness{w})
	return w, err
}

// DefaultWitnessTimeout is how long a checkpoint waits for its witnesses.
const DefaultWitnessTimeout = 5 * time.Second

// WitnessError says that a witness did not cosign a checkpoint. The checkpoint
// was published without it.
type WitnessError struct {
	Witness string
	Size    uint64 // of the checkpoint
	Err     error
}

func (e *WitnessError) Error() string {
	return fmt.Sprintf("the witness %s did not cosign the checkpoint of size %d, which is published without it: %v", e.Witness, e.Size, e.Err)
}

// Unwrap is the cause.
func (e *WitnessError) Unwrap() error { return e.Err }

// witness is one witness, and the size that it cosigned last as far as we know.
type witness struct {
	url  string
	key  *noteKey
	size uint64 // owned by publishing
}

func parseWitnesses(list []Witness) ([]*witness, error) {
	var all []*witness
	for _, w := range list {
		key, err := parseCosigner(w.Key)
		if err != nil {
			return nil, fmt.Errorf("witness %s: %w", w.URL, err)
		}
		if !strings.HasPrefix(w.URL, "https://") && !strings.HasPrefix(w.URL, "http://") {
			return nil, fmt.Errorf("witness %s: want an http or https URL", w.URL)
		}
		all = append(all, &witness{url: strings.TrimSuffix(w.URL, "/"), key: key})
	}
	return all, nil
}

// cosign asks all witnesses at once for their cosignatures, within the
// timeout, and returns the checkpoint with those that came and verify. The caller holds publishing;
// the tiles of its tree are in the store. absent names the witnesses that did not cosign.
func (l *Log) cosign(ctx context.Context, cp Checkpoint, checkpoint []byte) (cosigned []byte, absent string) {
	if len(l.witnesses) == 0 {
		return checkpoint, ""
	}
	ctx, cancel := context.WithTimeout(ctx, l.opt.WitnessTimeout)
	defer cancel()
	lines, errs := make([]string, len(l.witnesses)), make([]error, len(l.witnesses))
	var wg sync.WaitGroup
	for i, w := range l.witnesses {
		wg.Go(func() { lines[i], errs[i] = l.ask(ctx, w, cp, checkpoint) })
	}
	wg.Wait()
	n := 0
	var away []string
	for i, w := range l.witnesses {
		if errs[i] == nil {
			w.size = cp.Size
			n++
			continue
		}
		away = append(away, w.key.name)
		if l.opt.Events.Failed != nil {
			l.opt.Events.Failed(&WitnessError{Witness: w.key.name, Size: cp.Size, Err: errs[i]})
		}
	}
	l.mu.Lock()
	l.cosigned = n
	l.mu.Unlock()
	return append(checkpoint[:len(checkpoint):len(checkpoint)], strings.Join(lines, "")...), strings.Join(away, ", ")
}

// noteWitnesses adds a leaf where other witnesses cosigned a checkpoint than the one before, so that the log itself says
// for which time they were away. Behind a stop nothing is added: that checkpoint stays, and shows it. The caller holds
// publishing and mu, and has made the state of that checkpoint the log's.
func (l *Log) noteWitnesses(s *state, absent string) {
	if absent == l.absent || l.lastKind == Stop {
		return
	}
	leaf := Leaf{Kind: Cosigning, Time: time.Now(), Size: int64(s.edge.size), Reason: "it was cosigned by all witnesses again"}
	if absent != "" {
		leaf.Reason = cut("it was published without the cosignatures of "+absent, maxReason)
	}
	if l.from > 0 {
		leaf.Seq = l.from - 1
	}
	l.absent = absent
	l.append(&leaf)
}

// ask submits a checkpoint to one witness. Where the witness has another old
// size than we thought, it says so and is asked once more.
func (l *Log) ask(ctx context.Context, w *witness, cp Checkpoint, checkpoint []byte) (string, error) {
	old := w.size
	for attempt := 1; ; attempt++ {
		answer, conflict, err := l.submit(ctx, w, old, cp, checkpoint)
		if err != nil {
			return "", err
		}
		if !conflict {
			return w.key.signatureLines(checkpoint, answer)
		}
		size, err := strconv.ParseUint(strings.TrimSuffix(string(answer), "\n"), 10, 63)
		switch {
		case err != nil:
			return "", errors.New("it refuses the old size and names no other, or knows another tree of this size")
		case size > cp.Size:
			return "", fmt.Errorf("it cosigned a checkpoint of size %d that this log's key signed: another process may write this log", size)
		case attempt > 1:
			return "", fmt.Errorf("it changes its mind about the size that it cosigned last: %d, then %d", old, size)
		}
		old = size
	}
}

// maxAnswer bounds what is read of a witness's answer.
const maxAnswer = 16 << 10

// submit is one request of C2SP tlog-witness; conflict is its 409, with the witness's size as the answer.
func (l *Log) submit(ctx context.Context, w *witness, old uint64, cp Checkpoint, checkpoint []byte) (answer []byte, conflict bool, err error) {
	var body bytes.Buffer
	fmt.Fprintf(&body, "old %d\n", old)
	if old > 0 && old < cp.Size {
		tiles := tileReader{ctx: ctx, reader: l.reader, size: cp.Size}
		path, err := tlog.ProveTree(int64(cp.Size), int64(old), tlog.TileHashReader(tlog.Tree{N: int64(cp.Size), Hash: cp.Root}, &tiles))
		if err != nil {
			return nil, false, fmt.Errorf("consistency proof from size %d: %w", old, err)
		}
		for _, h := range path {
			body.WriteString(base64.StdEncoding.EncodeToString(h[:]) + "\n")
		}
	}
	body.WriteString("\n")
	body.Write(checkpoint)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url+"/add-checkpoint", &body)
	if err != nil {
		return nil, false, err
	}
	resp, err := l.http.Do(req)
	if err != nil {
		return nil, false, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return nil, false, err
	case resp.StatusCode == http.StatusConflict:
		return answer, true, nil
	case resp.StatusCode == http.StatusNotFound:
		return nil, false, fmt.Errorf("it does not know this log (404): give its operator the public key %s", l.Public())
	case resp.StatusCode != http.StatusOK:
		return nil, false, fmt.Errorf("it answers %s: %s", resp.Status, strings.TrimSpace(cut(string(answer), 200)))
	}
	return answer, false, nil
}
