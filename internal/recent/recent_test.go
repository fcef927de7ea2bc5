package recent

import (
	"fmt"
	"testing"
	"time"

	"indelible/internal/record"
)

// The newest records are kept, however many come, and those that were sent again are not new.
func TestRecentRing(t *testing.T) {
	r := &Records{}
	for seq := record.Seq(1); seq <= 3*recentMost+7; seq++ {
		rec := &record.Record{Door: "s3", Source: "1.2.3.4", Key: fmt.Sprint("k", seq)}
		r.note(rec, record.Receipt{Seq: seq})
		r.note(rec, record.Receipt{Seq: seq, Resent: true})
	}
	seen := map[record.Seq]bool{}
	for _, i := range r.last {
		seen[i.Seq] = true
		if i.Key != fmt.Sprint("k", i.Seq) {
			t.Errorf("record %d has the key %s", i.Seq, i.Key)
		}
	}
	for seq := record.Seq(2*recentMost + 8); seq <= 3*recentMost+7; seq++ {
		if !seen[seq] {
			t.Errorf("record %d is forgotten", seq)
		}
	}
	if len(r.last) != recentMost {
		t.Errorf("%d are kept", len(r.last))
	}
	if s := r.Senders(); len(s) != 1 || s[0].Records != 2*(3*recentMost+7) || s[0].Source != "1.2.3.4" {
		t.Errorf("%+v", s)
	}
}

// A thousand senders take the room of a hundred, and those that are silent go.
func TestSendersBounded(t *testing.T) {
	var s senders
	at := time.Unix(0, 0)
	for i := range 10 * sendersMost {
		s.note("s3", fmt.Sprint(i), at.Add(time.Duration(i)*time.Second))
		s.note("s3", "steady", at.Add(time.Duration(i)*time.Second))
	}
	list := s.list()
	if len(list) != sendersMost || list[0].Records+list[1].Records != 10*sendersMost+1 {
		t.Errorf("%d senders, %+v", len(list), list[:2])
	}
	for _, from := range list {
		if age := at.Add((10*sendersMost - 1) * time.Second).Sub(from.Last); age > sendersMost*time.Second {
			t.Errorf("%s has been silent for %s", from.Source, age)
		}
	}
}

// A sender that is expected is counted on, however many others come and however long it is silent.
func TestExpectedSenders(t *testing.T) {
	var s senders
	at := time.Unix(0, 0)
	s.expect("s3", "eu")
	if list := s.list(); len(list) != 0 {
		t.Errorf("one that sent nothing is listed: %+v", list)
	}
	s.note("s3", "eu", at)
	for i := range 3 * sendersMost {
		s.note("s3", fmt.Sprint(i), at.Add(time.Duration(i+1)*time.Second))
	}
	s.note("s3", "eu", at)
	if from := s.get("s3", "eu"); from.Records != 2 || len(s.list()) != sendersMost+1 {
		t.Errorf("%+v, %d listed", from, len(s.list()))
	}
	if from := s.get("http", "eu"); from.Records != 0 {
		t.Errorf("another door's: %+v", from)
	}
}

// What remembering a record costs its door, beside the fsync that it waits for.
func BenchmarkRecent(b *testing.B) {
	r := &Records{}
	rec := &record.Record{Door: "s3", Source: "1.2.3.4", Key: "k"}
	for seq := record.Seq(1); b.Loop(); seq++ {
		r.mu.Lock()
		r.note(rec, record.Receipt{Seq: seq})
		r.mu.Unlock()
	}
}
