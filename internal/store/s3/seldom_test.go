package s3

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := seldom{every: time.Second}
		for _, step := range []struct {
			after time.Duration
			want  bool
		}{{0, true}, {0, false}, {999 * time.Millisecond, false}, {time.Millisecond, true}, {0, false}, {time.Hour, true}} {
			time.Sleep(step.after)
			if got := s.due(); got != step.want {
				t.Errorf("after %v: %v", step.after, got)
			}
		}
	})
	st, err := Open(t.Context(), Config{Bucket: "b", Region: "r"})
	if err != nil {
		t.Fatal(err)
	}
	if st.renewal.every != renewEvery || st.creds.refresh.every != refreshEvery {
		t.Error("nothing bounds how often connections and credentials are renewed")
	}
}
