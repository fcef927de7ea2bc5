package recent

import (
	"cmp"
	"slices"
	"time"

	"indelible/internal/control"
)

// sendersMost bounds how many senders are told apart, beside those that are expected: the one
// that has been silent for the longest makes room for a new one.
const sendersMost = 100

// senders counts the records of each sender. Its caller guards it.
type senders struct {
	by       map[senderKey]*control.Sender
	expected map[senderKey]*control.Sender // never forgotten
}

type senderKey struct{ door, source string }

func (s *senders) expect(door, source string) {
	if s.expected == nil {
		s.expected = map[senderKey]*control.Sender{}
	}
	s.expected[senderKey{door, source}] = &control.Sender{Door: door, Source: source}
}

func (s *senders) get(door, source string) control.Sender {
	if from := s.expected[senderKey{door, source}]; from != nil {
		return *from
	}
	return control.Sender{Door: door, Source: source}
}

// note counts one record, new or sent again.
func (s *senders) note(door, source string, now time.Time) {
	k := senderKey{door, source}
	from := s.expected[k]
	if from == nil {
		from = s.by[k]
	}
	if from == nil {
		if s.by == nil {
			s.by = map[senderKey]*control.Sender{}
		}
		if len(s.by) >= sendersMost {
			s.forget()
		}
		from = &control.Sender{Door: door, Source: source}
		s.by[k] = from
	}
	from.Records++
	from.Last = now.UTC()
}

// forget lets go of the one that has been silent for the longest.
func (s *senders) forget() {
	var oldest senderKey
	var last time.Time
	for k, from := range s.by {
		if last.IsZero() || from.Last.Before(last) {
			oldest, last = k, from.Last
		}
	}
	delete(s.by, oldest)
}

// list is a copy of all that sent anything, the one that sent last first.
func (s *senders) list() []control.Sender {
	list := make([]control.Sender, 0, len(s.by)+len(s.expected))
	for _, known := range []map[senderKey]*control.Sender{s.by, s.expected} {
		for _, from := range known {
			if from.Records > 0 {
				list = append(list, *from)
			}
		}
	}
	slices.SortFunc(list, func(a, b control.Sender) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Door, b.Door), cmp.Compare(a.Source, b.Source))
	})
	return list
}
