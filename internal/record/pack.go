package record

import "time"

// Pack is one object of the store that holds many records: those from First to Last, without a hole.
type Pack struct {
	First, Last Seq       // inclusive
	Time        time.Time // arrival of First
	Key         string    // of the object, as stored, below the destination's URL
	Version     string    // the object's version id where the bucket is versioned
	Size        int64     // bytes of the object
	Digest      Digest    // SHA-256 of the object
	Root        Digest    // RFC 6962 root over the rows: docs/format/proof.md
}

// Count is how many records the pack holds.
func (p *Pack) Count() int64 { return int64(p.Last-p.First) + 1 }

// Row is one record as a pack holds it.
type Row struct {
	Info
	// Object is the key, as stored, of the object that holds the body, where it is too large for the pack; "" otherwise.
	Object string
}
