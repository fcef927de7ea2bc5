package browser

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"indelible/internal/proof"
	"indelible/internal/record"
)

// tree is an RFC 6962 tree over leaves, by another implementation than the browser's.
type tree struct {
	leaves [][]byte
	hashes []tlog.Hash
}

func newTree(t *testing.T, leaves [][]byte) *tree {
	t.Helper()
	tr := &tree{leaves: leaves}
	for i, leaf := range leaves {
		more, err := tlog.StoredHashes(int64(i), leaf, tr)
		if err != nil {
			t.Fatal(err)
		}
		tr.hashes = append(tr.hashes, more...)
	}
	return tr
}

// ReadHashes is tlog.HashReader's.
func (tr *tree) ReadHashes(at []int64) ([]tlog.Hash, error) {
	list := make([]tlog.Hash, len(at))
	for i, n := range at {
		list[i] = tr.hashes[n]
	}
	return list, nil
}

func (tr *tree) root(t *testing.T, size int) tlog.Hash {
	t.Helper()
	h, err := tlog.TreeHash(int64(size), tr)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (tr *tree) path(t *testing.T, size, index int) tlog.RecordProof {
	t.Helper()
	p, err := tlog.ProveRecord(int64(size), int64(index), tr)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// signer is a key with a name, and its public half.
func signer(t *testing.T) (note.Signer, string) {
	t.Helper()
	secret, vkey, err := note.GenerateKey(rand.Reader, "vectors")
	if err != nil {
		t.Fatal(err)
	}
	s, err := note.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	return s, vkey
}

// checkpoint is what a signed checkpoint states.
func checkpoint(t *testing.T, s note.Signer, size int, root tlog.Hash) []byte {
	t.Helper()
	b, err := note.Sign(&note.Note{Text: fmt.Sprintf("vectors\n%d\n%s\n", size, base64.StdEncoding.EncodeToString(root[:]))}, s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// vector is one call of the browser's check.
type vector struct {
	Name  string `json:"name"`
	Proof string `json:"proof"`
	Body  string `json:"body"`
	VKey  string `json:"vkey"`
	Seq   uint64 `json:"seq"`
	OK    bool   `json:"ok"` // what Go says
}

// add adds a proof as it is, and with each of its lines changed. What it is to say is what
// proof.Check says.
func add(list []vector, name string, p *proof.OfflineProof, body, vkey string, seq uint64) []vector {
	one := func(name, file, body string, seq uint64) {
		ok := false
		if p, err := proof.ParseProof([]byte(file)); err == nil {
			leaf, _, err := p.Check(vkey, strings.NewReader(body))
			ok = err == nil && uint64(leaf.Seq) == seq
		}
		list = append(list, vector{name, file, body, vkey, seq, ok})
	}
	file := string(p.Encode())
	one(name, file, body, seq)
	one(name+", other bytes", file, body+" ", seq)
	one(name+", another record", file, body, seq+1)
	lines := strings.Split(file, "\n")
	for i, line := range lines {
		if len(line) < 12 {
			continue
		}
		b := []byte(line)
		at := len(b) / 2
		if b[at] = 'A'; line[at] == 'A' {
			b[at] = 'B'
		}
		changed := append([]string(nil), lines...)
		changed[i] = string(b)
		one(fmt.Sprintf("%s, line %d changed", name, i), strings.Join(changed, "\n"), body, seq)
		one(fmt.Sprintf("%s, line %d gone", name, i), strings.Join(append(append([]string(nil), lines[:i]...), lines[i+1:]...), "\n"), body, seq)
	}
	return list
}

// The browser says of every proof what the Go implementation says, good and changed: of every
// leaf of trees of many sizes, and of rows of packs.
func TestVectors(t *testing.T) {
	s, vkey := signer(t)
	var leaves [][]byte
	bodies := map[int]string{}
	for i := range 70 {
		bodies[i] = fmt.Sprintf(`{"n":%d}`, i)
		leaf := proof.Leaf{Kind: proof.Record, Seq: record.Seq(i + 1), Door: "s3", Bucket: "b", Key: fmt.Sprint("k é ", i), Size: int64(len(bodies[i])), Digest: sha256.Sum256([]byte(bodies[i]))}
		leaves = append(leaves, leaf.Encode())
	}
	tr := newTree(t, leaves)
	var list []vector
	for _, size := range []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 15, 16, 17, 31, 33, 64, 65, 70} {
		note := checkpoint(t, s, size, tr.root(t, size))
		for index := range size {
			p := &proof.OfflineProof{Raw: leaves[index], Index: uint64(index), Path: tr.path(t, size, index), Checkpoint: note}
			if size <= 9 || index%13 == 0 {
				list = add(list, fmt.Sprintf("leaf %d of %d", index, size), p, bodies[index], vkey, uint64(index+1))
				continue
			}
			list = append(list, vector{fmt.Sprintf("leaf %d of %d", index, size), string(p.Encode()), bodies[index], vkey, uint64(index + 1), true})
		}
	}
	list = rows(t, list, s, vkey)
	good := 0
	for _, v := range list {
		if v.OK {
			good++
		}
	}
	if t.Logf("%d proofs, %d of them good", len(list), good); good < 100 || len(list)-good < 500 {
		t.Fatal("these show nothing")
	}
	d := serve(t, build(t), newBucket(t))
	p := newPage(t, 1280, 1000, false)
	p.open(d)
	vectors, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	_ = js[bool](p, fmt.Sprintf(`(async () => {
		const { check } = await import("/assets/proof.js");
		const wrong = [];
		for (const v of %s) {
			const said = await check(v.proof, new TextEncoder().encode(v.body), v.vkey, v.seq);
			if (said.ok !== v.ok) wrong.push(v.name + ": " + JSON.stringify(said.steps));
		}
		window.vectorsSaid = JSON.stringify(wrong);
	})().catch((err) => { window.vectorsSaid = JSON.stringify([String(err)]); }), true`, vectors))
	var wrong []string
	await(t, "every proof was looked at", func() error {
		said := js[string](p, "window.vectorsSaid ?? ''")
		if said == "" {
			return fmt.Errorf("it looks")
		}
		return json.Unmarshal([]byte(said), &wrong)
	})
	for _, w := range wrong {
		t.Errorf("the browser does not say what Go says: %s", w)
	}
}

// rows adds proofs of rows of a pack.
func rows(t *testing.T, list []vector, s note.Signer, vkey string) []vector {
	t.Helper()
	const first, count = 11, 7
	var packed [][]byte
	var bodies []string
	for i := range count {
		body := fmt.Sprintf(`{"row":%d}`, i)
		leaf := proof.Leaf{Kind: proof.Row, Seq: record.Seq(first + i), Door: "s3", Bucket: "b", SentKey: fmt.Sprint("k", i), Size: int64(len(body)), Digest: sha256.Sum256([]byte(body))}
		packed, bodies = append(packed, leaf.Encode()), append(bodies, body)
	}
	inner := newTree(t, packed)
	root := inner.root(t, count)
	pack := proof.Leaf{Kind: proof.Pack, First: first, Last: first + count - 1, Count: count, Key: "packs/x.parquet", Size: 9, Root: hex.EncodeToString(root[:])}
	outer := newTree(t, [][]byte{[]byte("a"), pack.Encode(), []byte("b")})
	note := checkpoint(t, s, 3, outer.root(t, 3))
	for i := range count {
		p := &proof.OfflineProof{
			Raw: pack.Encode(), Index: 1, Path: outer.path(t, 3, 1), Checkpoint: note,
			Row: &proof.RowProof{Raw: packed[i], Path: inner.path(t, count, i)},
		}
		before := len(list)
		list = add(list, fmt.Sprintf("row %d", i), p, bodies[i], vkey, uint64(first+i))
		if !list[before].OK {
			_, _, err := p.Check(vkey, strings.NewReader(bodies[i]))
			t.Fatalf("Go refuses row %d, and the test shows nothing: %v", i, err)
		}
		wrong := *p
		wrong.Row = &proof.RowProof{Raw: packed[i], Path: inner.path(t, count, (i+1)%count)}
		list = append(list, vector{fmt.Sprintf("row %d with another's path", i), string(wrong.Encode()), bodies[i], vkey, uint64(first + i), false})
	}
	return list
}
