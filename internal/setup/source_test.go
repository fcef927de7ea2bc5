package setup

import "testing"

func TestSameLog(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"s3://bkt/p/", "s3://bkt/p", true},
		{"s3://bkt/p", "s3://bkt/p/{bucket}", true},
		{"s3://bkt", "s3://bkt/", true},
		{"s3://bkt/p", "s3://bkt/q", false},
		{"s3://bkt/p", "s3://ckt/p", false},
		{dir, "file://" + dir + "/", true},
		{dir, dir + "/.", true},
		{dir, t.TempDir(), false},
		{dir, "s3://bkt/p", false},
	} {
		if got := sameLog(c.a, c.b); got != c.want {
			t.Errorf("%s and %s: %v", c.a, c.b, got)
		}
	}
}
