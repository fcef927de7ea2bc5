package doctor

import "testing"

func TestInodes(t *testing.T) {
	for _, c := range []struct {
		l    Limits
		want string
	}{
		{Limits{}, good("", "").State},
		{Limits{Inodes: 10_000_000, FreeInodes: 9_000_000}, good("", "").State},
		{Limits{Inodes: 10_000_000, FreeInodes: 1000}, warning("", "", "").State},
		{Limits{Inodes: 10_000_000, NoInodes: true}, Failed},
	} {
		if got := checkInodes("/x", c.l); got.State != c.want {
			t.Errorf("%+v: %+v", c.l, got)
		}
	}
}
