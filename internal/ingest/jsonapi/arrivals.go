package jsonapi

import (
	"fmt"
	"iter"
	"strings"
	"time"

	"indelible/internal/ingest"
	"indelible/internal/record"
)

// nameForm is how a file name begins, before the id.
const nameForm = "time-15-04-05.000000_"

// Remember tells the door which records it took in this hour and the one before
// are still in the spool, so that one whose ack was lost with the last process
// is known when it comes again. keys yields the newest record of each key with
// a prefix, as the spool does. Call it before the door serves.
func (d *Door) Remember(now time.Time, keys func(prefix string) iter.Seq2[record.Info, error]) error {
	for _, at := range []time.Time{now.Add(-time.Hour), now} {
		prefix := door + at.UTC().Format("/2006-01-02/15/")
		n := 0
		for info, err := range keys(prefix) {
			if err != nil {
				return fmt.Errorf("remember records: %w", err)
			}
			if n++; n > ingest.RememberedEach/2 {
				break
			}
			name, ok := strings.CutSuffix(info.Key[len(prefix):], extension)
			if !ok || len(name) <= len(nameForm) {
				continue
			}
			stamp := []byte(name[:len(nameForm)])
			stamp[len("time-15-04-05")] = '.'
			first, err := time.Parse("2006-01-02/15/"+nameForm, info.Key[len(door)+1:len(prefix)]+string(stamp))
			if err == nil {
				d.arrivals.First(name[len(nameForm):], info.Digest, first)
			}
		}
	}
	return nil
}
