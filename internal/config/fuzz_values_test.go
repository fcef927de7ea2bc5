package config

import "testing"

// FuzzValues: sizes, durations and locations are read, or refused with an error;
// what is read is in its range.
func FuzzValues(f *testing.F) {
	for _, s := range []string{"64MiB", "1.5TiB", "9e99TB", "1d12h", "99999999999999d", "-1s", "s3://b/p/{bucket}", "file:///x/{day}", "s3://", "a{"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := ParseSize(s); err == nil && n < 0 {
			t.Errorf("size %q: %d", s, n)
		}
		if d, err := ParseDuration(s); err == nil && d < 0 {
			t.Errorf("duration %q: %v", s, d)
		}
		if l, err := ParseLocation(s); err == nil && (l.Bucket == "") == (l.Dir == "") {
			t.Errorf("location %q: %+v", s, l)
		}
	})
}
