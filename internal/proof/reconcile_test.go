package proof

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"indelible/internal/record"
)

func (b *bench) reconcile(o ReconcileOptions, ids ...string) Reconciliation {
	b.t.Helper()
	r, err := Reconcile(b.t.Context(), b.st, testBase, b.key.Public(), producer(ids...), o)
	b.do(err)
	return r
}

// keep stores a record of this key and these bytes.
func (b *bench) keep(l *Log, seq record.Seq, key, text string) {
	b.t.Helper()
	o := b.outcomeOf(seq, record.Stored)
	o.Key, o.Stored, o.Size, o.Digest = key, testBase+key, int64(len(text)), sha256.Sum256([]byte(text))
	b.st.put(o.Stored, []byte(text))
	b.do(l.Add(b.t.Context(), o))
}

func TestReconcile(t *testing.T) {
	b := newBench(t)
	l := b.open()
	b.add(l, 1, 3)
	b.do(l.Add(t.Context(), b.outcome(4, record.Deferred)))
	b.do(l.Add(t.Context(), b.outcome(4, record.Stored)))
	b.do(l.Checkpoint(t.Context()))
	var leaves, size uint64
	told := func(n, of uint64, _ int64) {
		if n < leaves {
			t.Errorf("progress goes back from %d to %d", leaves, n)
		}
		leaves, size = n, of
	}
	r := b.reconcile(ReconcileOptions{Progress: told}, "id1", "id2", "id4", "id/9", "id/9", "2026-11-24/time-08-00-00-000000_id1.json")
	if r.IDs != 6 || r.Records != 4 || r.Matched != 4 || r.OK() || r.Lost != 2 || len(r.Missing) != 1 || r.Missing[0].ID != "id/9" || r.Missing[0].Known != 2 {
		t.Errorf("%+v", r)
	}
	if leaves != size || size != r.Size || size == 0 {
		t.Errorf("progress ends at %d of %d leaves, with %d in the tree", leaves, size, r.Size)
	}
	if r.Others != 1 || !strings.HasSuffix(r.Unknown[0].Key, "id3.json") {
		t.Errorf("%+v", r)
	}
	if len(r.Hours) != 2 || r.Hours[0].Records != 4 || r.Hours[0].Unknown != 1 || r.Hours[1].Missing != 2 {
		t.Errorf("hours %+v", r.Hours)
	}
	r = b.reconcile(ReconcileOptions{Until: time.Date(2026, 11, 24, 8, 0, 0, 2, time.UTC)}, "id1")
	if r.Records != 1 || r.Others != 0 || r.Matched != 1 || !r.OK() {
		t.Errorf("%+v", r)
	}
	if _, err := Reconcile(t.Context(), b.st, testBase, b.key.Public(), producer(), ReconcileOptions{}); !errors.Is(err, ErrNoIDs) {
		t.Errorf("an empty list: %v", err)
	}
}

// Only leaves that make the signed root answer.
func TestReconcileTrustsNothing(t *testing.T) {
	pristine := filled(t)
	for name, tamper := range map[string]func(b *bench){
		"a leaf is another": func(b *bench) {
			k := b.path("tile/entries/000")
			b.st.put(k, bytes.ReplaceAll(b.st.data(k), []byte(`_id5.json"`), []byte(`_xy5.json"`)))
		},
		"a bundle is gone":                                    func(b *bench) { b.st.remove(b.path("tile/entries/001")) },
		"the checkpoint is unsigned":                          func(b *bench) { b.sign(1 << 50) },
		"the checkpoint is signed, and its tree is not there": func(b *bench) { b.sign(1<<50, b.key) },
	} {
		b := *pristine
		b.t, b.st = t, pristine.st.clone()
		tamper(&b)
		if r, err := Reconcile(t.Context(), b.st, testBase, b.key.Public(), producer("xy5"), ReconcileOptions{}); err == nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// Ids are in keys as senders write them, and in the records.
func TestReconcileFindsIDs(t *testing.T) {
	long := "resp_" + strings.Repeat("bGl0ZWxsbTpjdXN0b21f", 12)
	sum := sha256.Sum256([]byte("time-10-11-12-000001_" + long))
	bounded := ("time-10-11-12-000001_" + long)[:64] + "_" + hex.EncodeToString(sum[:])
	for _, c := range []struct {
		name      string
		key, body string
		ids       []string
	}{
		{"slashes and colons are replaced in a key", "time-08-00-00-000000_arn_aws_x_y.json", "{}", []string{"arn:aws:x/y"}},
		{"a long name is bounded", bounded + ".json", "{}", []string{long}},
		{"a row of costs", "time-08-00-00-000000_batch_1.json", "{}", []string{"batch_1_batch_cost"}},
		{"id in the record", "k.json", `{"id":"chatcmpl-7","x":{"id":"other"}}`, []string{"chatcmpl-7"}},
		{"call id", "time-08-00-00-000000_chatcmpl-7.json", `{"id":"chatcmpl-7","litellm_call_id":"c-1"}`, []string{"c-1"}},
		{"lines of a batch", "batch_10-11-12_41da.jsonl", "{\"id\":\"a\"}\n{\"id\":\"b\"}\n{\"id\":\"b\"}", []string{"a", "b", "b"}},
		{"an array", "list.json", `[{"id":"a"},{"id":"b"},3]`, []string{"a", "b"}},
		{"values without a divider", "two.json", `{"id":"a"}{"id":"b"}`, []string{"a", "b"}},
		{"text sequence", "seq.json", "\x1e{\"id\":\"a\"}\n\x1e{\"id\":\"b\"}\n", []string{"a", "b"}},
		{"byte order mark", "bom.json", "\ufeff{\"id\":\"a\"}", []string{"a"}},
		{"NaN", "nan.json", `{"score": NaN, "id": "a\"b"}`, []string{`a"b`}},
	} {
		b := newBench(t)
		l := b.open()
		b.keep(l, 1, "2026-11-24/"+c.key, c.body)
		b.do(l.Checkpoint(t.Context()))
		if r := b.reconcile(ReconcileOptions{}, c.ids...); !r.OK() || r.Others != 0 || r.Matched != int64(len(c.ids)) {
			t.Errorf("%s: %+v", c.name, r)
		}
		if r := b.reconcile(ReconcileOptions{}, append(c.ids, "never")...); r.Lost != 1 {
			t.Errorf("%s, and one more: %+v", c.name, r)
		}
	}
}

// Equal ids are as many as the producer knows.
func TestReconcileMultiset(t *testing.T) {
	b := newBench(t)
	l := b.open()
	for i, id := range []string{"a", "b", "b", "x"} {
		b.keep(l, record.Seq(i+1), fmt.Sprintf("2026-11-24/time-08-00-0%d-000000_%s.json", i, id), "{}")
	}
	b.do(l.Checkpoint(t.Context()))
	r := b.reconcile(ReconcileOptions{}, "a", "a", "a", "b", "x", "x_batch_cost")
	if r.Lost != 3 || len(r.Missing) != 2 || r.Missing[0] != (Missing{"a", r.Missing[0].Time, 3, 1}) || r.Missing[1].ID != "x_batch_cost" {
		t.Errorf("missing %+v", r.Missing)
	}
	if len(r.Surplus) != 1 || r.Surplus[0] != (Surplus{"b", 1, 2}) {
		t.Errorf("surplus %+v", r.Surplus)
	}
}
