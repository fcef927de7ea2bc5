package faultproxy

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestEveryFaultIsDefinedOnce(t *testing.T) {
	all := Faults()
	if len(slices.Compact(slices.Clone(all))) != len(all) || len(all) < 35 {
		t.Errorf("%d faults: %v", len(all), all)
	}
	for _, f := range all {
		if r, err := ParseRule(string(f)); err != nil || r.Fault != f {
			t.Errorf("parse %s: %+v, %v", f, r, err)
		}
	}
}

func TestParseRule(t *testing.T) {
	r, err := ParseRule("slowdown:percent=12.5,count=3,skip=1,from=2s,until=1m,delay=5ms,rate=100,method=PUT+GET")
	want := Rule{Fault: SlowDown, Percent: 12.5, Count: 3, Skip: 1, From: 2 * time.Second, Until: time.Minute, Delay: 5 * time.Millisecond, Rate: 100, Methods: []string{"PUT", "GET"}}
	if err != nil || !reflect.DeepEqual(r, want) {
		t.Errorf("%+v, %v", r, err)
	}
	for _, s := range []string{"", "no-such-fault", "slowdown:percent=x", "slowdown:when=now", "slowdown:from=5"} {
		if _, err := ParseRule(s); err == nil {
			t.Errorf("%q was accepted", s)
		}
	}
}

// shown is which of n PUTs the rules let go wrong.
func shown(seed uint64, n int, rules ...Rule) (which []int) {
	p := New(&url.URL{Scheme: "http", Host: "none"}, seed, rules...)
	for i := range n {
		if _, ok := p.next(http.MethodPut); ok {
			which = append(which, i)
		}
	}
	return which
}

func TestSchedule(t *testing.T) {
	if got := shown(1, 10, Rule{Fault: SlowDown, Skip: 2, Count: 3}); !slices.Equal(got, []int{2, 3, 4}) {
		t.Errorf("skip 2, count 3: %v", got)
	}
	if got := shown(1, 10, Rule{Fault: SlowDown, Methods: []string{"GET"}}); got != nil {
		t.Errorf("a rule about GET showed in PUTs %v", got)
	}
	dice := Rule{Fault: SlowDown, Percent: 30}
	first := shown(7, 1000, dice)
	if !slices.Equal(first, shown(7, 1000, dice)) || slices.Equal(first, shown(8, 1000, dice)) {
		t.Error("the seed does not decide")
	}
	if len(first) < 250 || len(first) > 350 {
		t.Errorf("30 %% of 1000 are %d", len(first))
	}
}

func TestWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(&url.URL{}, 1, Rule{Fault: Forbidden, From: time.Second, Until: 3 * time.Second})
		for second := range 5 {
			if _, ok := p.next(http.MethodPut); ok != (second == 1 || second == 2) {
				t.Errorf("after %d s: %v", second, ok)
			}
			time.Sleep(time.Second)
		}
		if got := p.Injected()[Forbidden]; got != 2 || p.Requests()["PUT"] != 5 {
			t.Errorf("counted %d of %v", got, p.Requests())
		}
	})
}

// What is signed arrives as it was sent: host, path as spelled, query, headers, body.
func TestPassesRequestsUnchanged(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprint(w, r.Method, r.Host, r.RequestURI, r.Header.Get("X-Amz-Meta-A"), string(b))
	}))
	defer server.Close()
	target, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	front, err := Listen("127.0.0.1:0", New(target, 1))
	if err != nil {
		t.Fatal(err)
	}
	defer front.Close()
	req, err := http.NewRequest("PUT", "http://"+front.Addr+"/b/a%2Fb//c%20d+e?x=%2F&y", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "bucket.example"
	req.Header.Set("X-Amz-Meta-A", "v")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); string(b) != "PUTbucket.example/b/a%2Fb//c%20d+e?x=%2F&yvbody" {
		t.Errorf("arrived: %s", b)
	}
}

func TestRefuseAndAccept(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	target, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	front, err := Listen("127.0.0.1:0", New(target, 1))
	if err != nil {
		t.Fatal(err)
	}
	defer front.Close()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func() error {
		resp, err := client.Get("http://" + front.Addr)
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	if err := get(); err != nil {
		t.Fatal(err)
	}
	front.Refuse()
	if err := get(); err == nil {
		t.Error("a refused connection was taken")
	}
	if err := front.Accept(); err != nil {
		t.Fatal(err)
	}
	if err := get(); err != nil {
		t.Errorf("after the outage: %v", err)
	}
}
