package query_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"indelible/internal/disk/crashdisk"
	"indelible/internal/layout"
	"indelible/internal/layout/pack"
	"indelible/internal/query"
	"indelible/internal/record"
	"indelible/internal/store"
	"indelible/internal/store/dir"
)

// putPack stores a pack of one record, "k<seq>", that arrived at that time.
func putPack(t *testing.T, st store.Store, names layout.Objects, seq record.Seq, at time.Time) {
	t.Helper()
	body := fmt.Appendf(nil, "body %d", seq)
	info := record.Info{Seq: seq, Time: at, Door: "s3", Bucket: "b", Key: fmt.Sprint("k", seq), Size: int64(len(body)), Digest: sha256.Sum256(body)}
	var b bytes.Buffer
	w, err := pack.NewWriter(&b, pack.Options{Log: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add(&pack.Row{Info: info, Key: names.Key("b", info.Key), Body: body}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	o := names.Pack(record.Pack{First: seq, Last: seq, Time: at, Key: names.PackKey("test", seq, seq, at), Size: int64(b.Len()), Digest: sha256.Sum256(b.Bytes())}, "test")
	o.Body = bytes.NewReader(b.Bytes())
	if _, err := st.Put(context.Background(), o); err != nil {
		t.Fatal(err)
	}
}

// A pack that another overtook on its way to the store is found once it is there, on whichever day it began.
func TestPackOvertaken(t *testing.T) {
	names, err := layout.Parse("")
	if err != nil {
		t.Fatal(err)
	}
	for _, days := range []int{0, 1, 3} {
		st := dir.Open(crashdisk.New())
		spool := pending{0: {info: record.Info{Seq: 1}}}
		r := query.New(spool, st, names).WithPacks()
		day := time.Date(2026, 11, 1, 23, 0, 0, 0, time.UTC)
		find := func(key string, want bool) {
			t.Helper()
			if _, ok, err := r.Find(t.Context(), "b", key); err != nil || ok != want {
				t.Errorf("%d days: %s: %v, %v, want %v", days, key, ok, err, want)
			}
		}
		putPack(t, st, names, 1, day)
		putPack(t, st, names, 3, day.AddDate(0, 0, 1+days))
		find("k1", true)
		find("k2", false)
		putPack(t, st, names, 2, day.AddDate(0, 0, 1))
		spool[0] = sent{info: record.Info{Seq: 3}}
		for seq := range 3 {
			find(fmt.Sprint("k", seq+1), true)
		}
	}
}
