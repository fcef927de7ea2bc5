package recent

import (
	"cmp"
	"slices"
	"time"

	"indelible/internal/control"
)

// sendersMost bounds how many senders are told apart: the one that has been silent for the
// longest makes room for a new one.
const sendersMost = 100

// senders counts the records of each sender. Its caller guards it.
type senders struct{ by map[senderKey]*control.Sender }

type senderKey struct{ door, source string }

// note counts one record, new or sent again.
func (s *senders) note(door, source string, now time.Time) {
	k := senderKey{door, source}
	from := s.by[k]
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

// list is a copy of all, the one that sent last first.
func (s *senders) list() []control.Sender {
	list := make([]control.Sender, 0, len(s.by))
	for _, from := range s.by {
		list = append(list, *from)
	}
	slices.SortFunc(list, func(a, b control.Sender) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Door, b.Door), cmp.Compare(a.Source, b.Source))
	})
	return list
}
