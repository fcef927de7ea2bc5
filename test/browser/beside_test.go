package browser

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestBeside measures the dashboard beside INDELIBLE_BESIDE records: first paint, search, what
// viewers cost, and what they take from a door at full load. INDELIBLE_BESIDE_DATA is a directory that
// keeps the records for the next run. It asserts nothing: docs/performance.md has the figures.
func TestBeside(t *testing.T) {
	records, err := strconv.Atoi(os.Getenv("INDELIBLE_BESIDE"))
	if err != nil {
		t.Skip("INDELIBLE_BESIDE=1000000 measures the dashboard beside a million records")
	}
	work := os.Getenv("INDELIBLE_BESIDE_DATA")
	if work == "" {
		work = t.TempDir()
	}
	d := &daemon{binary: build(t), data: filepath.Join(work, "data")}
	d.env = append(os.Environ(), "INDELIBLE_CONFIG=", "INDELIBLE_DATA="+d.data, "INDELIBLE_TO=file://"+filepath.Join(work, "store"), "INDELIBLE_LAYOUT=pack")
	begun := time.Now()
	d.start(t, "127.0.0.1:0")
	t.Logf("ready %v after its start, the test's own wait of up to 20 ms included", time.Since(begun))
	b, err := os.ReadFile(filepath.Join(d.data, "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	d.Token = strings.TrimSpace(string(b))
	begun = time.Now()
	d.fill(t, records)
	d.indexed(t, records)
	t.Logf("%d records sent, delivered and indexed after %v", records, time.Since(begun))

	if os.Getenv("INDELIBLE_BESIDE_FILL") != "" {
		return
	}
	var paints, words []float64
	for range 5 {
		p := newPage(t, 1280, 1000, false)
		p.open(d)
		paints = append(paints, js[float64](p, "performance.getEntriesByName('first-contentful-paint')[0].startTime"))
		words = append(words, js[float64](p, "performance.getEntriesByName('health')[0].startTime"))
		t.Logf("%s", js[string](p, `performance.getEntriesByType('navigation').concat(performance.getEntriesByType('resource')).map((e) => new URL(e.name).pathname + ' ' + Math.round(e.startTime) + '-' + Math.round(e.responseEnd)).join(', ')`))
	}
	t.Logf("first contentful paint: %.0f ms, the sentence: %.0f ms (medians of 5 browsers)", median(paints), median(words))

	for _, expr := range []string{"team=team-07", "team=team-07 status=failure", "model~gpt", "cost>0.9", "id=chatcmpl-00500000", "refund", "user=nobody"} {
		begun := time.Now()
		hits := d.search(t, expr)
		t.Logf("search %-30q %3d hits in %v", expr, hits, time.Since(begun).Round(time.Millisecond))
	}
	for _, query := range []string{"by=team&by=day", "by=team&by=day&expr=since%3D7d", "by=user"} {
		begun := time.Now()
		var sums struct{ Sums []any }
		d.get(t, "/api/stats?"+query, &sums)
		t.Logf("sums %-34q %4d of them in %v", query, len(sums.Sums), time.Since(begun).Round(time.Millisecond))
	}

	const over = 30 * time.Second
	alone := d.cpu(t, over)
	stop := d.watch(t, 20)
	watched := d.cpu(t, over)
	stop()
	t.Logf("processor of the idle daemon, of a core: %.2f %%; with 20 viewers: %.2f %%", alone, watched)

	// In turns, and the ratio of each turn: what else the machine does changes from one turn to the next.
	var rates, ratesWatched, ratios []float64
	unwatchedTurn := func() { rates = append(rates, d.rate(t, 3*time.Second)) }
	watchedTurn := func() {
		stop := d.watch(t, 20)
		ratesWatched = append(ratesWatched, d.rate(t, 3*time.Second))
		stop()
	}
	for turn := range 9 {
		first, second := unwatchedTurn, watchedTurn
		if turn%2 == 1 {
			first, second = watchedTurn, unwatchedTurn
		}
		first()
		second()
		ratios = append(ratios, ratesWatched[len(ratesWatched)-1]/rates[len(rates)-1])
	}
	t.Logf("a door at full load: %.0f PUT/s, with 20 viewers %.0f; of each turn's rate %.3f (medians of 9)", median(rates), median(ratesWatched), median(ratios))
}

func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}

// fill sends records until the log has as many.
func (d *daemon) fill(t *testing.T, records int) {
	t.Helper()
	at := d.status(t).Acked
	var next atomic.Int64
	next.Store(int64(at))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				const batch = 500
				first := int(next.Add(batch)) - batch
				if first >= records {
					return
				}
				var lines bytes.Buffer
				for i := first; i < first+batch; i++ {
					fmt.Fprintln(&lines, logged(i))
				}
				for { // a full disk or spool asks for patience
					resp, err := http.Post("http://"+d.HTTP+"/v1/records", "application/x-ndjson", bytes.NewReader(lines.Bytes()))
					if err == nil {
						_ = resp.Body.Close()
						if resp.StatusCode == http.StatusOK {
							break
						}
					}
					time.Sleep(200 * time.Millisecond)
				}
			}
		})
	}
	wg.Wait()
}

// logged is a call in the form in which LiteLLM logs one.
func logged(i int) string {
	status := "success"
	if i%97 == 0 {
		status = "failure"
	}
	return fmt.Sprintf(`{"id":"chatcmpl-%08d","status":%q,"model":%q,"response_cost":%.4f,"prompt_tokens":%d,"completion_tokens":%d,"startTime":%d.5,"endTime":%d.9,`+
		`"metadata":{"user_api_key_team_alias":"team-%02d","user_api_key_user_id":"user-%04d"},"messages":[{"role":"user","content":"Is invoice %d under the refund policy of March? %s"}]}`,
		i, status, []string{"gpt-5-mini", "claude-sonnet-5", "gemini-3-flash"}[i%3], float64(i%1000)/1000, i%900, i%400, 1764500000+i, 1764500000+i, i%40, i%5000, i, strings.Repeat("Please check. ", 30))
}

type statusOf struct{ Acked, Pending, Proven int }

func (d *daemon) status(t *testing.T) (s statusOf) {
	t.Helper()
	d.get(t, "/api/status", &s)
	return s
}

// get asks the API.
func (d *daemon) get(t *testing.T, path string, v any) {
	t.Helper()
	resp := d.ask(t, t.Context(), path)
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
		t.Fatal(err)
	}
}

func (d *daemon) ask(t *testing.T, ctx context.Context, path string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.Admin+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+d.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", path, resp.Status)
	}
	return resp
}

// indexed waits until the index has every record.
func (d *daemon) indexed(t *testing.T, records int) {
	t.Helper()
	for {
		var at struct{ Position int }
		d.get(t, "/api/index", &at)
		if at.Position >= records && d.status(t).Pending == 0 {
			return
		}
		time.Sleep(time.Second)
	}
}

func (d *daemon) search(t *testing.T, expr string) (hits int) {
	t.Helper()
	path := "/api/search?limit=100&expr=" + url.QueryEscape(expr)
	resp := d.ask(t, t.Context(), path)
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(b, []byte(`"error"`)) {
		t.Errorf("%s: %s", expr, b)
	}
	return bytes.Count(b, []byte(`{"hit"`))
}

// watch has viewers look at the board until stop.
func (d *daemon) watch(t *testing.T, viewers int) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range viewers {
		resp := d.ask(t, ctx, "/api/live")
		wg.Go(func() {
			_, _ = io.Copy(io.Discard, resp.Body) // ends with ctx
			_ = resp.Body.Close()
		})
	}
	return func() { cancel(); wg.Wait() }
}

// cpu is how much of a core the daemon takes (Linux).
func (d *daemon) cpu(t *testing.T, over time.Duration) float64 {
	t.Helper()
	used := func() int {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", d.cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		user, err1 := strconv.Atoi(fields[11])
		system, err2 := strconv.Atoi(fields[12])
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		return user + system
	}
	before := used()
	time.Sleep(over)
	return float64(used()-before) / over.Seconds() // USER_HZ is 100: ticks a second are percent
}

// rate is how many PUTs of 4 KiB a second a door takes from 32 senders.
func (d *daemon) rate(t *testing.T, over time.Duration) float64 {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}
	defer client.CloseIdleConnections()
	var done atomic.Int64
	end := time.Now().Add(over)
	var wg sync.WaitGroup
	for w := range 32 {
		wg.Go(func() {
			for n := 0; time.Now().Before(end); n++ {
				body := fmt.Sprintf(`{"id":"load-%d-%d-%d","text":%q}`, end.UnixNano(), w, n, strings.Repeat("a word ", 570))
				req, err := http.NewRequest(http.MethodPut, fmt.Sprintf("http://%s/audit/load/%d/%d/%d.json", d.S3, end.UnixNano(), w, n), strings.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				resp, err := client.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if resp.StatusCode == http.StatusOK {
					done.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return float64(done.Load()) / over.Seconds()
}
