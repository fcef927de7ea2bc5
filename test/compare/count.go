package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// sent is what a sender knows: which records it tried to hand over, and which were acked.
// It is safe for concurrent use.
type sent struct {
	mu    sync.Mutex
	tried map[string]bool // by id: acked or not; guarded by mu
	acked int             // guarded by mu
}

func newSent() *sent { return &sent{tried: map[string]bool{}} }

func (s *sent) try(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.tried[id]; !ok { // an ack stays one
		s.tried[id] = false
	}
}

func (s *sent) ack(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.tried[id] {
		s.tried[id] = true
		s.acked++
	}
}

func (s *sent) count() (tried, acked int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.tried), s.acked
}

// census is what a bucket holds. It reads each object once; make a new one where objects may
// have been replaced.
type census struct {
	dir     string
	read    func(object []byte) ([]string, error) // the records in an object
	seen    map[string]bool                       // files
	copies  map[string]int                        // of a record, by id
	damaged int                                   // records that are not what was sent
}

func newCensus(dir string, read func([]byte) ([]string, error)) *census {
	return &census{dir: dir, read: read, seen: map[string]bool{}, copies: map[string]int{}}
}

// update reads what is new.
func (c *census) update() error {
	return filepath.WalkDir(c.dir, func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a temporary file that is gone again
		}
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != c.dir && (strings.HasPrefix(d.Name(), ".") || d.Name() == "_indelible") {
				return fs.SkipDir // what the S3 server is at, and the log over the records
			}
			return nil
		}
		if c.seen[name] {
			return nil
		}
		object, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		c.seen[name] = true
		c.add(object)
		return nil
	})
}

func (c *census) add(object []byte) {
	records, err := c.read(object)
	if err != nil {
		c.damaged++
	}
	for _, r := range records {
		id, ok := idOf(r)
		if !ok || r != body(id) {
			c.damaged++
			continue
		}
		c.copies[id]++
	}
}

// counts is what became of the records of one run.
type counts struct {
	Sent    int `json:"sent"`
	Acked   int `json:"acked"`
	Lost    int `json:"lost"`    // acked, and not in the bucket
	Twice   int `json:"twice"`   // copies beyond one of each record
	Damaged int `json:"damaged"` // records or objects that are not what was sent
	Unsent  int `json:"unsent"`  // in the bucket, and never sent
}

func compare(s *sent, c *census) counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := counts{Sent: len(s.tried), Acked: s.acked, Damaged: c.damaged}
	for id, acked := range s.tried {
		if acked && c.copies[id] == 0 {
			n.Lost++
		}
	}
	for id, copies := range c.copies {
		n.Twice += copies - 1
		if _, ok := s.tried[id]; !ok {
			n.Unsent++
		}
	}
	return n
}

// whole is an object that is one record.
func whole(object []byte) ([]string, error) { return []string{string(object)}, nil }

// ofLiteLLM is an object that LiteLLM made of a call: the record is what the call asked.
func ofLiteLLM(object []byte) ([]string, error) {
	var record struct {
		Messages []struct {
			Content string `json:"content"`
		} `json:"messages"`
	}
	if err := json.Unmarshal(object, &record); err != nil {
		return nil, err
	}
	var records []string
	for _, m := range record.Messages {
		records = append(records, m.Content)
	}
	return records, nil
}

// otlp is an object of OTLP JSON: the records are the bodies of its log records.
func otlp(object []byte) ([]string, error) {
	var data struct {
		ResourceLogs []struct {
			ScopeLogs []struct {
				LogRecords []struct {
					Body struct {
						StringValue string `json:"stringValue"`
					} `json:"body"`
				} `json:"logRecords"`
			} `json:"scopeLogs"`
		} `json:"resourceLogs"`
	}
	if err := json.Unmarshal(object, &data); err != nil {
		return nil, err
	}
	var records []string
	for _, r := range data.ResourceLogs {
		for _, s := range r.ScopeLogs {
			for _, l := range s.LogRecords {
				records = append(records, l.Body.StringValue)
			}
		}
	}
	return records, nil
}
