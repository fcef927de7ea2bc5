package jsonapi_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"

	"indelible/internal/ingest"
	"indelible/internal/ingest/jsonapi"
)

// trickle sends some bytes and then waits until it is told to end.
type trickle struct {
	some io.Reader
	end  chan struct{}
}

func (s *trickle) Read(p []byte) (int, error) {
	if n, err := s.some.Read(p); err == nil {
		return n, nil
	}
	<-s.end
	return 0, io.ErrUnexpectedEOF
}

// Small requests are answered, and at once, beside 50 that announce 64 MiB
// each and do not go on: whether they have sent nothing, a little, or so much
// that they hold all the memory for large bodies.
func TestSmallBesideSlowLarge(t *testing.T) {
	const slow, announced = 50, 64 << 20
	for _, sent := range []int64{0, 10 << 10, 100 << 10, 9 << 20} {
		t.Run(fmt.Sprint(sent), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, err := jsonapi.New(jsonapi.Options{Spool: &nowhere{}, MaxRequest: announced})
				if err != nil {
					t.Fatal(err)
				}
				end := make(chan struct{})
				for i := range slow {
					r := httptest.NewRequest("POST", jsonapi.Path, &trickle{io.LimitReader(blanks{}, sent), end})
					r.ContentLength, r.RemoteAddr = announced, fmt.Sprintf("192.0.2.%d:1", i%3)
					go d.ServeHTTP(httptest.NewRecorder(), r)
				}
				synctest.Wait() // all of them wait for their senders, or for memory
				for name, encode := range map[string]func([]byte) []byte{
					"": func(b []byte) []byte { return b }, "gzip": gzipped, "zstd": func(b []byte) []byte { return zstandard(b) },
				} {
					for _, size := range []int{10, 4 << 10, 60 << 10} {
						answered := make(chan int, 1)
						go func() {
							r := httptest.NewRequest("POST", jsonapi.Path, bytes.NewReader(encode([]byte(payload(size)))))
							r.RemoteAddr = "192.0.2.0:2" // one of the slow ones' hosts
							r.Header.Set("Content-Encoding", name)
							w := httptest.NewRecorder()
							d.ServeHTTP(w, r)
							answered <- w.Code
						}()
						synctest.Wait() // time stands still: who is not answered now waits for somebody
						select {
						case code := <-answered:
							if code != http.StatusOK {
								t.Errorf("%q, %d bytes: %d", name, size, code)
							}
						default:
							t.Errorf("%q, %d bytes: waits", name, size)
						}
					}
				}
				close(end)
			})
		})
	}
}

type blanks struct{}

func (blanks) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// One sender does not get all the memory for large bodies.
func TestSenderHasAShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 1 << 20
		d, err := jsonapi.New(jsonapi.Options{Spool: &nowhere{}, MaxRequest: most, MaxMemory: 40 * most,
			Tokens: []ingest.Token{{Secret: "a", Name: "a"}, {Secret: "b", Name: "b"}}})
		if err != nil {
			t.Fatal(err)
		}
		end := make(chan struct{})
		for range 100 {
			r := httptest.NewRequest("POST", jsonapi.Path, &trickle{io.LimitReader(blanks{}, most-1), end})
			r.ContentLength = most
			r.Header.Set("Authorization", "Bearer a")
			go d.ServeHTTP(httptest.NewRecorder(), r)
		}
		synctest.Wait()
		answered := make(chan int, 1)
		go func() {
			r := httptest.NewRequest("POST", jsonapi.Path, bytes.NewReader([]byte(payload(most-100))))
			r.Header.Set("Authorization", "Bearer b")
			w := httptest.NewRecorder()
			d.ServeHTTP(w, r)
			answered <- w.Code
		}()
		synctest.Wait()
		select {
		case code := <-answered:
			if code != http.StatusOK {
				t.Error(code)
			}
		default:
			t.Error("a large body of another sender waits")
		}
		close(end)
	})
}
