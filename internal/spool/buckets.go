package spool

import (
	"fmt"
	"maps"
	"time"
)

// loadBuckets reads the names of the buckets seen, or gathers them from the
// segments where the file is damaged.
func (s *Spool) loadBuckets() error {
	b, err := s.readSmall(bucketsFile)
	if err == nil {
		err = openJSON(b, &s.buckets)
	}
	if err == nil || isNotExist(err) && len(s.segs) == 0 {
		return nil
	}
	s.log.Error("the names of the buckets are gathered from the records that are here", "error", err)
	s.buckets = map[string]time.Time{}
	for _, g := range s.segs {
		from := ""
		for more := true; more; {
			err := s.ask(g, func(x index) error {
				bucket, ok, err := x.firstBucket(from)
				if more = ok; ok && err == nil {
					if _, known := s.buckets[bucket]; !known {
						s.buckets[bucket] = time.Unix(0, g.created).UTC()
					}
					from = bucket + "\x00"
				}
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// seeBucket notes the name of a bucket, durably, before its first record.
func (s *Spool) seeBucket(name string, at time.Time) error {
	s.mu.Lock()
	_, known := s.buckets[name]
	s.mu.Unlock()
	if known || name == "" {
		return nil
	}
	s.bucketMu.Lock()
	defer s.bucketMu.Unlock()
	s.mu.Lock()
	if _, known = s.buckets[name]; known {
		s.mu.Unlock()
		return nil
	}
	all := make(map[string]time.Time, len(s.buckets)+1)
	maps.Copy(all, s.buckets)
	s.mu.Unlock()
	all[name] = at.UTC()
	b, err := sealJSON(all)
	if err == nil {
		err = s.replace(bucketsFile, b)
	}
	if err != nil {
		return fmt.Errorf("note the bucket: %w", noRoom(err))
	}
	s.mu.Lock()
	s.buckets = all
	s.mu.Unlock()
	return nil
}
