package spool_test

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"indelible/internal/record"
	"indelible/internal/spool"
	"indelible/internal/torture"
)

// TestTortureFiles deletes, truncates, empties, overwrites, swaps and doubles
// the files of a spool, and puts strange ones beside them: it opens, what is gone is named, and the
// rest is delivered as it was.
func TestTortureFiles(t *testing.T) {
	row := torture.Report(t, "disk: files deleted, cut, swapped", "damages")
	stride := torture.Stride(11, 3, 1)
	fenced, n := 0, 0
	for name, closed := range map[string]bool{"killed": false, "closed": true} {
		f := buildFull(t, closed)
		try := func(what string, img image) {
			if n++; n%stride != 0 {
				return
			}
			v := f.judge(t, img.disk(t))
			row.Ran(1, len(f.bodies))
			row.Count(v.lost, 0, v.corrupted)
			fenced += v.named
			if len(v.what) > 0 {
				row.FailedAt(name + "/" + what)
				t.Errorf("%s, %s:\n%s", name, what, strings.Join(v.what, "\n"))
			}
			if len(row.Failed) >= 8 {
				t.FailNow()
			}
		}
		with := func(file string, b []byte) image {
			img := maps.Clone(f.img)
			if b == nil {
				delete(img, file)
			} else {
				img[file] = b
			}
			return img
		}
		for _, file := range sortedNames(f.img) {
			b := f.img[file]
			if path.Dir(file) != "parked" {
				// Who deletes what was parked takes the only copy: verify names it, the leaf that says so having no other behind it.
				try(file+" deleted", with(file, nil))
			}
			for _, at := range cuts(len(b)) {
				try(fmt.Sprintf("%s cut at %d", file, at), with(file, b[:at]))
				zeroed := slices.Clone(b)
				clear(zeroed[at:])
				try(fmt.Sprintf("%s zero from %d on", file, at), with(file, zeroed))
				zeroed = slices.Clone(b)
				clear(zeroed[:at])
				try(fmt.Sprintf("%s zero up to %d", file, at), with(file, zeroed))
			}
			try(file+" with something behind", with(file, append(slices.Clone(b), "something"...)))
			for _, other := range sortedNames(f.img) {
				// Two at once, the newest segment and the state that knows how far the numbers went, is more than one damage.
				both := path.Ext(file) == ".seg" && other == "state" || file == "state" && path.Ext(other) == ".seg"
				if other != file && path.Dir(other) == path.Dir(file) && !both {
					img := with(file, f.img[other])
					try(fmt.Sprintf("%s overwritten by %s", file, other), img)
					img = maps.Clone(img)
					img[other] = b
					try(fmt.Sprintf("%s and %s swapped", file, other), img)
				}
			}
			for _, strange := range []string{"00000000000000000099" + path.Ext(file), "00000000000000000002" + path.Ext(file), "copy-of-" + path.Base(file), path.Base(file) + ".tmp", path.Base(file) + "~"} {
				try(fmt.Sprintf("%s again as %s", file, strange), with(path.Join(path.Dir(file), strange), b))
			}
		}
	}
	row.Note = fmt.Sprintf("%d records fenced and named", fenced)
}

// cuts are lengths at which a file of n bytes is worth cutting: around every border of a block, a header and an entry.
func cuts(n int) []int {
	var list []int
	for _, border := range []int{0, 8, 64, 96, 512, 4096, 8192, 8192 + 96, n / 2, n} {
		for _, at := range []int{border - 1, border, border + 1} {
			if at >= 0 && at < n {
				list = append(list, at)
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// TestTortureBackup goes on from a copy of the spool's files that was made while it
// worked, file by file, each as it was at another moment: what was acked before the copy was begun and
// had not left by its end is there or named, and nothing is handed out as something else.
func TestTortureBackup(t *testing.T) {
	row := torture.Report(t, "disk: restored from a running backup", "restores")
	fenced := 0
	for _, seed := range torture.Seeds(torture.Share(20, 100, 4000)) {
		rng := newRand(seed)
		d := buildEmpty(t)
		bodies := map[record.Seq][]byte{}
		var upto record.Seq // settled and released up to here
		grow := func() {
			for range 1 + rng.IntN(6) {
				i := len(bodies) + 1
				body := randomBody(uint64(i), rng.IntN(3000))
				r := mustAppend(t, d.spool, rec("b", fullKey(record.Seq(i)), body))
				bodies[r.Seq] = body
			}
			for upto < record.Seq(len(bodies)) && rng.IntN(3) > 0 {
				e, ok, err := d.spool.Entry(t.Context(), upto+1)
				if err != nil || !ok {
					t.Fatal(err)
				}
				if err := d.spool.Settle(t.Context(), record.Outcome{Info: e.Info, State: record.Stored}); err != nil {
					t.Fatal(err)
				}
				upto++
			}
			if rng.IntN(2) == 0 {
				if err := d.spool.Release(t.Context(), upto); err != nil {
					t.Fatal(err)
				}
			}
		}
		for range 6 {
			grow()
		}
		before := len(bodies)
		img := image{}
		names := sortedNames(readImage(t, d.disk))
		rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		for _, name := range names {
			if b, ok := readImage(t, d.disk)[name]; ok {
				img[name] = b
			}
			grow()
		}
		v := restored(t, img, bodies, record.Seq(before), upto)
		row.Ran(1, before)
		row.Count(v.lost, 0, v.corrupted)
		fenced += v.named
		if len(v.what) > 0 {
			row.FailedAt(seed)
			t.Errorf("seed %d:\n%s", seed, strings.Join(v.what, "\n"))
		}
		if err := d.spool.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			break
		}
	}
	row.Note = fmt.Sprintf("%d records named as gone", fenced)
}

// restored judges a spool that was put back: records up to before had been acked when the copy was begun, those up to left were stored by its end.
func restored(t *testing.T, img image, bodies map[record.Seq][]byte, before, left record.Seq) (v damageReport) {
	t.Helper()
	var told []record.GapError
	s, err := spool.Open(img.disk(t), spool.Options{Log: "test", Events: spool.Events{Gap: func(g record.GapError) { told = append(told, g) }}})
	if err != nil {
		v.say("it does not open: %v", err)
		return v
	}
	defer func() {
		if err := s.Close(); err != nil {
			v.say("close: %v", err)
		}
	}()
	have := map[record.Seq]bool{}
	entries, gaps := all(t, s, 1)
	for _, e := range entries {
		body, err := readBody(e)
		if err != nil {
			told = append(told, record.GapError{First: e.Seq, Last: e.Seq})
			continue
		}
		if string(body) != string(bodies[e.Seq]) || e.Key != fullKey(e.Seq) {
			v.corrupted++
			v.say("record %d is another", e.Seq)
		}
		have[e.Seq] = true
	}
	named := map[record.Seq]bool{}
	for _, g := range slices.Concat(gaps, told) {
		for seq := g.First; seq <= g.Last && seq < g.First+1000; seq++ {
			named[seq] = true
		}
	}
	for seq := left + 1; seq <= before; seq++ {
		switch {
		case have[seq]:
		case named[seq]:
			v.named++
		default:
			v.lost++
			v.say("record %d was acked before the copy and not stored by its end, and is neither there nor named (released %d)", seq, s.Released())
		}
	}
	return v
}
