package proof

import (
	"crypto/sha256"
	"encoding/hex"
	"iter"
	"path"
	"slices"
	"strings"
	"time"
)

// knownID is what is known of one id.
type knownID struct {
	time      time.Time
	want, got int64 // records that the producer knows, and that the log has
}

// idSet is the ids of a producer. Equal ids are as many as the producer knows.
type idSet struct {
	known   map[string]*knownID
	spelled map[string]*knownID   // by the id as LiteLLM spells it in a key
	bare    map[string][]*knownID // by the id without what SpendLogs appends to it
	long    map[string][]string   // ids, as spelled, by what of them stands in a bounded key
	open    int                   // ids of which the log still lacks a record
}

func (s *idSet) gain(k *knownID) {
	if k.got++; k.got == k.want {
		s.open--
	}
}

// inKey is how LiteLLM spells an id in a key.
var inKey = strings.NewReplacer("/", "_", ":", "_")

// costSuffixes are appended by LiteLLM's SpendLogs to the id of the record that the row is about.
var costSuffixes = [...]string{"_batch_cost", "_background_cost", "_video_cost", "_guardrail_cost"}

// LiteLLM bounds a file name: this much of it, "_", and the SHA-256 of the whole.
const boundedPrefix = 64

// timePart is the length of "time-HH-MM-SS-ffffff_", which stands before the id.
const timePart = len("time-00-00-00-000000_")

func (s *idSet) read(ids iter.Seq2[KnownID, error]) error {
	s.known, s.spelled, s.bare, s.long = map[string]*knownID{}, map[string]*knownID{}, map[string][]*knownID{}, map[string][]string{}
	for id, err := range ids {
		if err != nil {
			return err
		}
		if k := s.known[id.ID]; k != nil {
			k.want++
			continue
		}
		k := &knownID{time: id.Time, want: 1}
		spelled := inKey.Replace(id.ID)
		s.known[id.ID] = k
		if spelled != id.ID {
			s.spelled[spelled] = k
		}
		for _, suffix := range costSuffixes {
			if bare, ok := strings.CutSuffix(id.ID, suffix); ok {
				s.bare[bare] = append(s.bare[bare], k)
				s.bare[inKey.Replace(bare)] = append(s.bare[inKey.Replace(bare)], k)
			}
		}
		if n := boundedPrefix - timePart; len(spelled) > n {
			s.long[spelled[:n]] = append(s.long[spelled[:n]], spelled)
		}
	}
	if s.open = len(s.known); s.open == 0 {
		return ErrNoIDs
	}
	return nil
}

// of is what is known of an id, as it is or as a key spells it.
func (s *idSet) of(id string) *knownID {
	if k := s.known[id]; k != nil {
		return k
	}
	return s.spelled[id]
}

// found takes the ids that one record carries: each that is known has one
// record more. Only a record whose ids are not known otherwise answers for a row of costs.
func (s *idSet) found(ids []string) bool {
	var seen []*knownID
	needed := false
	for _, id := range ids {
		if k := s.of(id); k != nil && !slices.Contains(seen, k) {
			needed = needed || k.got < k.want
			seen = append(seen, k)
		}
	}
	if !needed {
		for _, id := range ids {
			for _, k := range s.bare[id] {
				if k.got < k.want {
					s.gain(k)
					return true
				}
			}
		}
	}
	for _, k := range seen {
		s.gain(k)
	}
	return len(seen) > 0
}

// match takes a record by the ids in its key.
func (s *idSet) match(l *Leaf) bool { return s.found(s.keyIDs(l)) }

// knows says whether a record's key holds a known id.
func (s *idSet) knows(l *Leaf) bool {
	return slices.ContainsFunc(s.keyIDs(l), func(id string) bool { return s.of(id) != nil || len(s.bare[id]) > 0 })
}

// keyIDs is KeyIDs, and the long id that a bounded key is the hash of.
func (s *idSet) keyIDs(l *Leaf) []string {
	ids := KeyIDs(l)
	if id, ok := s.bounded(sentKey(l)); ok {
		ids = append(ids, id)
	}
	return ids
}

// bounded finds the id in a file name that LiteLLM has bounded: the one with
// the same beginning whose whole name has the hash.
func (s *idSet) bounded(key string) (string, bool) {
	name := path.Base(key)
	bare := strings.TrimSuffix(name, path.Ext(name))
	if len(bare) != boundedPrefix+1+2*sha256.Size || !strings.HasPrefix(bare, "time-") || bare[boundedPrefix] != '_' {
		return "", false
	}
	prefix, want := bare[:boundedPrefix], bare[boundedPrefix+1:]
	for _, id := range s.long[prefix[timePart:]] {
		if sum := sha256.Sum256([]byte(prefix[:timePart] + id)); hex.EncodeToString(sum[:]) == want {
			return id, true
		}
	}
	return "", false
}

// How much earlier or later than the producer says a record may have arrived.
const (
	arrivalEarly = time.Hour
	arrivalLate  = 7 * 24 * time.Hour
)

// span is when the records that the log lacks can have arrived; zero times: at any time.
func (s *idSet) span() (from, to time.Time, lacking bool) {
	unbounded := false
	for _, k := range s.known {
		if k.got >= k.want {
			continue
		}
		lacking = true
		unbounded = unbounded || k.time.IsZero()
		if from.IsZero() || k.time.Before(from) {
			from = k.time
		}
		if k.time.After(to) {
			to = k.time
		}
	}
	if unbounded || !lacking {
		return time.Time{}, time.Time{}, lacking
	}
	return from.Add(-arrivalEarly), to.Add(arrivalLate), true
}

// sentKey is the key that the sender used.
func sentKey(l *Leaf) string {
	if l.SentKey != "" {
		return l.SentKey
	}
	return l.Key
}

// KeyIDs are the ids that a record's key holds: the sent key itself, its file
// name, and what stands behind LiteLLM's time-HH-MM-SS-ffffff_ in it, without the extension.
func KeyIDs(l *Leaf) []string {
	key := sentKey(l)
	name := path.Base(key)
	ids := []string{key, name}
	bare := strings.TrimSuffix(name, path.Ext(name))
	if bare != name {
		ids = append(ids, bare)
	}
	if rest, ok := strings.CutPrefix(bare, "time-"); ok {
		if _, id, ok := strings.Cut(rest, "_"); ok {
			ids = append(ids, id)
		}
	}
	return ids
}
