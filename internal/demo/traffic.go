package demo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"indelible/internal/record"
)

// sender puts records under their keys, as often as it was told to try.
type sender struct {
	name     string
	url      string // of the bucket, with a slash at its end
	attempts int    // 0: until it has an answer
	pause    func(n int) time.Duration
	client   *http.Client

	mu       sync.Mutex
	answered map[string]bool // keys with a 200; guarded by mu
	most     int             // attempts of one record; guarded by mu
	again    int             // records that took more than one; guarded by mu
}

// attemptTimeout bounds one attempt of a sender.
const attemptTimeout = 10 * time.Second

func newSender(name, url string, attempts int, pause func(int) time.Duration) *sender {
	return &sender{
		name: name, url: url, attempts: attempts, pause: pause, answered: map[string]bool{},
		client: &http.Client{Timeout: attemptTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
	}
}

// send puts one record, and gives it up after as many attempts as it may make.
func (s *sender) send(ctx context.Context, key string, body []byte) {
	for n := 1; ; n++ {
		ok := s.put(ctx, key, body) == nil
		s.note(key, n, ok)
		if ok || n == s.attempts {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(s.pause(n)):
		}
	}
}

func (s *sender) note(key string, n int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.most = max(s.most, n)
	if n == 2 {
		s.again++
	}
	if ok {
		s.answered[key] = true
	}
}

func (s *sender) put(ctx context.Context, key string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, s.url+key, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("put %s: %s", key, resp.Status)
	}
	return nil
}

func (s *sender) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.answered)
}

// traffic is LLM calls at a steady rate, each of which makes a record that every sender
// gets. sent may be read once run has returned.
type traffic struct {
	every   time.Duration
	senders []*sender

	mu   sync.Mutex
	sent map[string]record.Digest // by key; guarded by mu
}

// run makes calls until stop is closed, and then waits until every sender has an answer
// for its last record, or has given it up. The end of ctx ends it at once.
func (t *traffic) run(ctx context.Context, stop <-chan struct{}) {
	var wg sync.WaitGroup
	defer wg.Wait()
	tick := time.NewTicker(t.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-stop:
			return
		case now := <-tick.C:
			key, body := call(now.UTC())
			t.mu.Lock()
			t.sent[key] = sha256.Sum256(body)
			t.mu.Unlock()
			for _, s := range t.senders {
				wg.Go(func() { s.send(ctx, key, body) })
			}
		}
	}
}

func (t *traffic) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.sent)
}

// prices are of a million tokens, in dollars; they are made up.
var models = []struct {
	name    string
	in, out float64
}{{"gpt-5-mini", 0.25, 2}, {"claude-sonnet-5", 3, 15}, {"gemini-3-flash", 0.3, 2.5}}

var questions = []string{
	"Summarise the refund policy for a customer in two sentences.", "Is this invoice a duplicate of the one from March?",
	"Translate the attached contract clause into French.", "Which of these tickets are about the outage of last night?",
	"Write a friendly reminder for an unpaid bill.", "Extract name, date and amount from this receipt.",
}

// call is the record of a made-up call, in the form in which LiteLLM logs one, and its key.
func call(now time.Time) (key string, body []byte) {
	model := models[rand.IntN(len(models))]
	id := fmt.Sprintf("chatcmpl-%016x", rand.Uint64())
	in, out := 80+rand.IntN(900), 20+rand.IntN(400)
	answer := make([]byte, 0, out*4)
	for range out / 8 {
		answer = append(answer, questions[rand.IntN(len(questions))]...)
		answer = append(answer, ' ')
	}
	took := time.Duration(300+rand.IntN(2500)) * time.Millisecond
	body, err := json.Marshal(map[string]any{
		"id": id, "call_type": "acompletion", "status": "success", "model": model.name,
		"response_cost": (float64(in)*model.in + float64(out)*model.out) / 1e6,
		"prompt_tokens": in, "completion_tokens": out, "total_tokens": in + out,
		"startTime": float64(now.Add(-took).UnixMicro()) / 1e6, "endTime": float64(now.UnixMicro()) / 1e6,
		"metadata": map[string]any{"user_api_key_team_alias": []string{"alpha", "billing", "support"}[rand.IntN(3)]},
		"messages": []any{map[string]any{"role": "user", "content": questions[rand.IntN(len(questions))]}},
		"response": map[string]any{"choices": []any{map[string]any{"message": map[string]any{"role": "assistant", "content": string(answer)}}}},
	})
	if err != nil {
		panic(err) // nothing in it can fail
	}
	return now.Format("2006-01-02/time-15-04-05-") + fmt.Sprintf("%06d_%s.json", now.Nanosecond()/1000, id), body
}
