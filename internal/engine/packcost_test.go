package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/layout"
	"indelible/internal/query"
	"indelible/internal/record"
	"indelible/internal/store"
	"indelible/internal/torture"
)

// requests counts what is asked of a bucket.
type requests struct {
	*bucket

	mu                sync.Mutex
	puts, gets, heads int64 // guarded by mu
	read              int64 // bytes; guarded by mu
}

func (r *requests) count(n *int64, by int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*n += by
}

func (r *requests) Put(ctx context.Context, o store.Object) (store.Info, error) {
	r.count(&r.puts, 1)
	return r.bucket.Put(ctx, o)
}

func (r *requests) Get(ctx context.Context, key string, o store.GetOptions) (io.ReadCloser, store.Info, error) {
	body, info, err := r.bucket.Get(ctx, key, o)
	r.count(&r.gets, 1)
	return countedBody{body, r}, info, err
}

func (r *requests) Head(ctx context.Context, key string, o store.GetOptions) (store.Info, error) {
	r.count(&r.heads, 1)
	return r.bucket.Head(ctx, key, o)
}

// countedBody counts the bytes of an answer.
type countedBody struct {
	io.ReadCloser
	to *requests
}

func (c countedBody) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.to.count(&c.to.read, int64(n))
	return n, err
}

// through is an engine with packs that stores through r. Sizes, counts and ages are the defaults.
func through(t *testing.T, r *requests) *Engine {
	t.Helper()
	o := options(r.bucket, t.TempDir())
	o.Destination = func(context.Context, string) (*Destination, error) {
		return &Destination{Store: r, Layout: mustLayout()}, nil
	}
	o.Packs.On = true
	o.Proof.CheckpointEvery = 0 // the default
	return openEngine(t, o)
}

// Packs cost few requests: their own, those of the log's tiles, bundles and checkpoints, and what a start and an end write, each
// with the default settings.
func TestPackPuts(t *testing.T) {
	if torture.Race {
		t.Skip("it counts: the step norace of test/steps runs it")
	}
	for _, c := range []struct {
		rate, minutes int
		share         float64
	}{{16, 20, 0.005}, {100, 10, 0.001}} {
		t.Run(fmt.Sprint(c.rate), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { packPuts(t, c.rate, c.minutes, c.share) })
		})
	}
}

func packPuts(t *testing.T, rate, minutes int, share float64) {
	r := &requests{bucket: newBucket(t)}
	e := through(t, r)
	end := start(t, e)
	sent := 0
	const seconds = 10
	for range minutes * 60 / seconds {
		var senders sync.WaitGroup // so many seconds' at once, so that they share an fsync
		for range rate * seconds {
			sent++
			body := fmt.Sprintf(`{"id":"chatcmpl-%d","model":"gpt-4o","messages":[]}`, sent)
			senders.Go(func() {
				if _, err := e.Append(t.Context(), record.Record{Door: "s3", Bucket: "b", Key: body, Size: int64(len(body)), Body: strings.NewReader(body)}); err != nil {
					t.Error(err)
				}
			})
		}
		senders.Wait()
		time.Sleep(seconds * time.Second)
	}
	end()
	got := float64(r.puts) / float64(sent)
	t.Logf("%d puts for %d records, %.4f %%", r.puts, sent, got*100)
	if got > share {
		t.Errorf("%d records/s: %d puts for %d records are %.3f %%, more than %.1f %%", rate, r.puts, sent, got*100, share*100)
	}
}

// One record out of a store with packs takes three ranges of its pack and a mebibyte at most, whatever it is asked by, and by its key a range and 256 KiB more for each other pack,
// two ranges where that one's filter is wrong. How many packs there are, the machine decides.
func TestPackedRecordReads(t *testing.T) {
	r := &requests{bucket: newBucket(t)}
	e := through(t, r)
	end := start(t, e)
	each := torture.RaceShare(4000)
	random := rand.New(rand.NewPCG(15, 16))
	for pack := range 3 {
		var senders sync.WaitGroup
		for i := range each {
			body, key := payload(random, i), keyOf(pack*each+i)
			senders.Go(func() {
				if _, err := e.Append(t.Context(), record.Record{Door: "s3", Bucket: "b", Key: key, Size: int64(len(body)), Body: strings.NewReader(body)}); err != nil {
					t.Error(err)
				}
			})
		}
		senders.Wait()
		if err := e.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	end()
	var packs []string // a Drain closes the pack that is open, so there can be more than three
	for info, err := range r.List(t.Context(), store.ListOptions{Prefix: "packs/"}) {
		if err != nil {
			t.Fatal(err)
		}
		packs = append(packs, info.Key)
	}
	for _, pack := range packs {
		_, first, last, ok := layout.ParsePackFile(path.Base(pack))
		if !ok || len(packs) < 3 {
			t.Fatal(packs)
		}
		seq := first + (last-first)*5/9
		want, ok, err := query.New(nil, r, mustLayout()).WithPacks().InPack(t.Context(), pack, seq)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		for how, most := range map[string]int64{"place": 3, "seq": 3, "key": 3 + 2*int64(len(packs)-1)} {
			r.gets, r.read = 0, 0
			readOne(t, r, how, pack, want)
			t.Logf("by %s in %s: %d gets, %d bytes", how, pack, r.gets, r.read)
			bytes := int64(1 << 20)
			if how == "key" {
				bytes += int64(len(packs)-1) << 18
			}
			if r.gets > most || r.read > bytes {
				t.Errorf("by %s in %s: %d gets of %d bytes, more than %d gets or %d bytes", how, pack, r.gets, r.read, most, bytes)
			}
		}
	}
}

// readOne reads one record with a reader that knows nothing of the packs yet: by its place, as the index and the log tell it, by its number, or by its key.
func readOne(t testing.TB, st store.Store, how, pack string, want record.Entry) {
	t.Helper()
	q := query.New(nil, st, mustLayout()).WithPacks()
	var got record.Entry
	var ok bool
	var err error
	switch how {
	case "place":
		got, ok, err = q.InPack(t.Context(), pack, want.Seq)
	case "seq":
		got, ok, err = q.Packed(t.Context(), "", want.Seq)
	case "key":
		got, ok, err = q.Find(t.Context(), "b", want.Key)
	}
	if err != nil || !ok || got.Seq != want.Seq {
		t.Fatalf("%s: %v, %v, %v", how, got.Seq, ok, err)
	}
	body, err := got.Open() // compares it with its digest
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, body)
	if err = errors.Join(err, body.Close()); err != nil || n != want.Size {
		t.Fatalf("%s: %d bytes, %v", how, n, err)
	}
}

func keyOf(i int) string {
	return fmt.Sprintf("2026-11-30/time-08-00-00-000000_chatcmpl-%d.json", i)
}

// payload is a record of 4 KiB as LiteLLM's: fields that people filter by, prose of a question and of an answer.
func payload(r *rand.Rand, n int) string {
	id := fmt.Sprintf("chatcmpl-%016x%016x", r.Uint64(), r.Uint64())
	head := fmt.Sprintf(`{"id":%q,"trace_id":"%016x","litellm_call_id":"%016x%016x","call_type":"acompletion","response_cost":%.7f,"status":"success","custom_llm_provider":"openai",`+
		`"total_tokens":%d,"prompt_tokens":500,"completion_tokens":%d,"startTime":%.6f,"endTime":%.6f,"model":"gpt-5","model_group":"chat","api_base":"https://api.openai.com/v1",`+
		`"metadata":{"user_api_key_hash":"%016x%016x%016x%016x","user_api_key_alias":"key-%d","user_api_key_team_id":"t-%d","user_api_key_team_alias":"team %d","user_api_key_user_id":"user-%d@example.com"},`+
		`"request_tags":["prod"],"end_user":"customer-%d","messages":[{"role":"user","content":"`,
		id, r.Uint64(), r.Uint64(), r.Uint64(), r.Float64()/100, 500+n%300, n%300, 1764000000+float64(n)/7, 1764000001.25+float64(n)/7,
		r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64(), n%100, n%40, n%40, n%200, n%1000)
	const middle, tail = `"}],"response":{"choices":[{"index":0,"message":{"role":"assistant","content":"`, `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":500}},"error_str":null}`
	rest := 4096 - len(head) - len(middle) - len(tail)
	return head + prose(r, rest/2) + middle + prose(r, rest-rest/2) + tail
}

const vocabulary = `the of and to in is that for it as was with be by on not he his but at are this have from or had an they which one you were all her she there would their we him been has when who will no more if out
so up said what its about than into them can only other time new some could these two may first then do any like my now over such our man me even most made after also did many off before must well back through years
model prompt answer token window context function argument schema error retry limit request stream cache policy refund invoice customer shipment address order status code`

// prose is a text of words in no order: it compresses about as text does.
func prose(r *rand.Rand, n int) string {
	words := strings.Fields(vocabulary)
	var b strings.Builder
	for b.Len() < n {
		b.WriteString(words[r.IntN(len(words))])
		b.WriteByte(' ')
	}
	return b.String()[:n]
}
