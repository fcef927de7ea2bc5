package proof

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// FuzzDecodeState: a state file with the right checksum and any content is read or refused.
func FuzzDecodeState(f *testing.F) {
	header, err := json.Marshal(stateHeader{Log: "l"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append([]byte(stateV1), append(header, '\n')...))
	f.Add([]byte(stateV1 + "{\"Bytes\":[-1,1]}\n"))
	f.Add([]byte(stateV1 + "{\"Size\":18446744073709551615}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		sum := sha256.Sum256(b)
		if s, err := decodeState(append(bytes.Clone(b), sum[:]...)); err == nil && s == nil {
			t.Error("neither a state nor an error")
		}
	})
}

// FuzzParseKey: a secret that is read signs what its public half verifies, and no error quotes it.
func FuzzParseKey(f *testing.F) {
	key, err := ParseKey(strings.Repeat("0a", 32), "log")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(key.Secret(), "log")
	f.Add(strings.Repeat("0a", 32), "log")
	f.Add("PRIVATE+KEY+a+b", "")
	f.Fuzz(func(t *testing.T, secret, name string) {
		key, err := ParseKey(secret, name)
		if err == nil {
			if again, err := ParseKey(key.Secret(), key.Name()); err != nil || again.Public() != key.Public() {
				t.Errorf("what was read is not read again: %v", err)
			}
			return
		}
		if s := strings.TrimSpace(secret); len(s) > 40 && !strings.Contains(name, s) && strings.Contains(err.Error(), s) {
			t.Errorf("the error quotes the secret: %v", err)
		}
	})
}

// FuzzKnownIDs: lists of ids from elsewhere are read, or refused with a word.
func FuzzKnownIDs(f *testing.F) {
	f.Add([]byte("a\nb\n"))
	f.Add([]byte("request_id,startTime\nx,2026-01-01 00:00:00\n"))
	f.Add([]byte("\ufeff\"id\"\n\"a,b\"\n"))
	f.Add([]byte("{\"id\":\"a\",\"time\":\"2026-01-01T00:00:00Z\"}\n{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, read := range map[string]func(yield func(KnownID, error) bool) error{
			"lines":  func(yield func(KnownID, error) bool) error { return readLines(bytes.NewReader(b), yield) },
			"csv":    func(yield func(KnownID, error) bool) error { return readCSV(bytes.NewReader(b), IDFormat{}, yield) },
			"ndjson": func(yield func(KnownID, error) bool) error { return readNDJSON(bytes.NewReader(b), IDFormat{}, yield) },
		} {
			_ = read(func(k KnownID, err error) bool {
				if err == nil && k.ID == "" {
					t.Errorf("%s: an id of nothing", name)
				}
				if k.Time.After(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)) {
					t.Errorf("%s: at %v", name, k.Time)
				}
				return true
			})
		}
	})
}

// FuzzDecodeBundle: a bundle that is read is written as it was.
func FuzzDecodeBundle(f *testing.F) {
	f.Add([]byte{0, 1, 'a', 0, 0}, 2)
	f.Add([]byte{255, 255}, 1)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		n = max(0, min(n, 1000))
		leaves, err := decodeBundle(b, n)
		if err == nil && !bytes.Equal(encodeBundle(leaves), b) {
			t.Errorf("%x", b)
		}
	})
}
