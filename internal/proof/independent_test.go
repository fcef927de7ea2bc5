package proof

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/record"
	"indelible/internal/store/dir"
	"indelible/internal/store/storetest"
	"indelible/internal/testserver"
	"indelible/internal/torture"
)

// independent are verifiers that share no code with ours.
type independent struct {
	fsck   string // Tessera's checker, as a program
	python string // the interpreter for docs/verify.py
}

var fsckOnce sync.Mutex

func newIndependent(t *testing.T) independent {
	t.Helper()
	if torture.Race {
		t.Skip("other processes judge here: the step norace of test/steps runs it")
	}
	fsckOnce.Lock()
	defer fsckOnce.Unlock()
	python := testserver.Python(t, "testdata/requirements-verify.txt")
	program := filepath.Join(t.TempDir(), "fsck")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-C", "../../test/fsck", "-o", program, ".").CombinedOutput(); err != nil {
		testserver.Missing(t, "Tessera", &os.PathError{Op: "build", Path: string(out), Err: err})
	}
	return independent{program, python}
}

// copied is a bucket as files, without its prefix: what a copy of it looks like.
type copied struct {
	top  string
	have map[string][]byte
}

// sync makes the files those of the bucket. It writes only what differs, so that many cases cost little.
func (c *copied) sync(b *bench, more map[string][]byte) {
	want := maps.Clone(more)
	for _, k := range b.st.keys() {
		want[strings.TrimPrefix(k, testBase)] = b.st.data(k)
		if info := b.st.peek(k); info.Header != nil {
			shown, err := json.Marshal(map[string]any{"header": info.Header, "meta": info.Meta})
			b.do(err)
			want["_indelible/.meta/"+k] = shown
		}
	}
	for name := range c.have {
		if _, ok := want[name]; !ok {
			b.do(os.Remove(filepath.Join(c.top, filepath.FromSlash(name))))
		}
	}
	for name, data := range want {
		if have, ok := c.have[name]; !ok || !bytes.Equal(have, data) {
			file := filepath.Join(c.top, filepath.FromSlash(name))
			b.do(os.MkdirAll(filepath.Dir(file), 0o700))
			b.do(os.WriteFile(file, data, 0o600))
		}
	}
	c.have = want
}

// judge lays the bucket out as files and asks both. kept is a checkpoint that the auditor has; nil: none.
func (s independent) judge(t *testing.T, c *copied, b *bench, kept []byte, args ...string) (said string, fsck, python error) {
	t.Helper()
	more := map[string][]byte{"log.vkey": []byte(b.key.Public() + "\n")}
	if kept != nil {
		more["kept"] = kept
		args = append(args, "--checkpoint", filepath.Join(c.top, "kept"))
	}
	c.sync(b, more)
	var out1 []byte
	if s.fsck != "" {
		out1, fsck = exec.CommandContext(t.Context(), s.fsck, filepath.Join(c.top, "_indelible", "test-log"), strings.Fields(b.key.Public())[0]).CombinedOutput() // it knows Ed25519
	}
	out2, python := exec.CommandContext(t.Context(), s.python, append([]string{"../../docs/verify.py", c.top, filepath.Join(c.top, "log.vkey")}, args...)...).CombinedOutput()
	return string(out1) + string(out2), fsck, python
}

func (s independent) accept(t *testing.T, b *bench) {
	t.Helper()
	if said, fsck, python := s.judge(t, &copied{top: t.TempDir()}, b, nil, "--allow-incomplete"); fsck != nil || python != nil {
		t.Errorf("fsck: %v, verify.py: %v\n%s", fsck, python, said)
	}
}

func TestIndependentVerifiersAccept(t *testing.T) {
	s := newIndependent(t)
	t.Run("life", func(t *testing.T) {
		b := filled(t)
		l := b.open()
		b.do(l.Start("p", "c", ""))
		o := b.outcome(601, record.Stored)
		o.Source, o.Key = "a\"\\\n\x7f\u2028é", "not utf-8 \xff"
		b.do(l.Add(t.Context(), o))
		next, err := GenerateKey("test-log")
		b.do(err)
		b.do(l.Rotate(t.Context(), next))
		old := b.key
		b.key = next
		b.add(l, 602, 602)
		b.do(l.Stop(t.Context()))
		s.accept(t, b)
		b.key = old
		if said, _, python := s.judge(t, &copied{top: t.TempDir()}, b, nil, "--allow-incomplete"); python != nil {
			t.Errorf("with the key before the change: %v\n%s", python, said)
		}
	})
	t.Run("ML-DSA-44", func(t *testing.T) {
		b := newBench(t)
		quantumSafe(b)
		s.accept(t, b)
		b.key = b.old // which has no such half; fsck takes the key of the checkpoint
		if said, _, python := s.judge(t, &copied{top: t.TempDir()}, b, nil, "--allow-incomplete"); python != nil {
			t.Errorf("with the key before the change: %v\n%s", python, said)
		}
	})
	for _, size := range []int{1, 255, 256, 257, 65_536, 70_001} {
		if size > 1000 && testing.Short() {
			continue
		}
		b := newBench(t)
		b.st.put(testBase+"k", body(1))
		l := b.open()
		b.do(l.Start("p", "c", ""))
		for seq := 1; seq < size; seq++ {
			o := b.outcomeAt(record.Seq(seq), "k")
			b.do(l.Add(t.Context(), o))
			if seq == size/3 {
				b.do(l.Checkpoint(t.Context()))
			}
		}
		b.do(l.Checkpoint(t.Context()))
		s.accept(t, b)
	}
	t.Run("witnesses", func(t *testing.T) {
		b := newBench(t)
		witnessed(b)
		args := []string{"--witness", b.witness[0], "--witness", b.witness[1]}
		if said, _, python := s.judge(t, &copied{top: t.TempDir()}, b, nil, args...); python != nil {
			t.Errorf("%v\n%s", python, said)
		}
		twice := []string{"--witness", b.witness[0], "--witness", b.witness[0], "--quorum", "2"}
		if said, _, python := s.judge(t, &copied{top: t.TempDir()}, b, nil, twice...); python == nil {
			t.Errorf("one witness counts twice: %s", said)
		}
	})
	t.Run("packs", func(t *testing.T) {
		b := newBench(t)
		packed(b)
		s.accept(t, b)
	})
	for _, mark := range []string{"", ".folded"} {
		t.Run("file store"+mark, func(t *testing.T) {
			b := newBench(t)
			l := b.open()
			b.do(l.Start("p", "c", ""))
			for i, key := range []string{"My Team/100%.json", "My Team/100%25.json", "a//b", "a", "a/./..", "not utf-8 \xff", "\u00e9", "control\n", strings.Repeat("long%", 150)} {
				seq := record.Seq(i + 1)
				o := b.outcomeOf(seq, record.Stored)
				o.Key, o.Stored = key, testBase+key
				b.st.put(o.Stored, body(seq))
				b.do(l.Add(t.Context(), o))
			}
			b.do(l.Checkpoint(t.Context()))
			root := t.TempDir()
			if mark != "" {
				b.do(os.Mkdir(filepath.Join(root, "_indelible"), 0o700))
				b.do(os.WriteFile(filepath.Join(root, "_indelible", mark), nil, 0o600))
			}
			files, err := dir.OpenPath(root)
			b.do(err)
			defer func() { _ = files.Close() }()
			for _, k := range b.st.keys() {
				storetest.MustPut(t, files, storetest.Object(k, string(b.st.data(k))))
			}
			b.do(os.WriteFile(filepath.Join(root, "log.vkey"), []byte(b.key.Public()+"\n"), 0o600))
			if said, err := exec.CommandContext(t.Context(), s.python, "../../docs/verify.py", "--no-attrs", filepath.Join(root, strings.TrimSuffix(testBase, "/")), filepath.Join(root, "log.vkey")).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, said)
			}
		})
	}
	t.Run("after a hundred deaths", func(t *testing.T) {
		w := newWorld(t, 11)
		synctest.Test(t, func(t *testing.T) { // so that no retry takes time
			released := record.Seq(0)
			for range 100 {
				die, applied := 1+w.rng.IntN(40), w.rng.IntN(2) == 0
				w.fate = func(n int) fate { return fate{apply: n != die || applied, dies: n == die} }
				var err error
				if released, err = w.live(released, w.rng.IntN(200)); err != nil && !w.dead {
					t.Fatal(err)
				}
				w.reborn()
			}
		})
		s.accept(t, w.bench)
	})
}

// outcomeAt is a stored record whose object others share.
func (b *bench) outcomeAt(seq record.Seq, key string) record.Outcome {
	o := b.outcomeOf(1, record.Stored)
	o.Seq, o.Key, o.Stored = seq, key, testBase+key
	return o
}

// A verifier that accepts everything proves nothing: verify.py refuses every
// tampering that verify does, and Tessera's checker those of the tree.
func TestIndependentVerifiersRefuse(t *testing.T) {
	s := newIndependent(t)
	pristine := filled(t)
	s.accept(t, pristine)
	files := &copied{top: t.TempDir()}
	for _, c := range tamperings() {
		if c.onlyHere {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			b, kept := c.apply(t, pristine)
			s := s
			if !c.fsck {
				s.fsck = "" // it judges trees, and takes its time over what it cannot judge
			}
			args := []string{"--allow-incomplete"}
			if c.incomplete {
				args = nil
			}
			for _, w := range c.witnesses(b) {
				args = append(args, "--witness", w)
			}
			said, fsck, python := s.judge(t, files, b, kept, args...)
			if python == nil || strings.Contains(said, "Traceback") || c.fsck && fsck == nil {
				t.Errorf("fsck: %v, verify.py: %v\n%s", fsck, python, said)
			}
			if c.incomplete {
				if said, _, python := s.judge(t, files, b, kept, "--allow-incomplete"); python != nil {
					t.Errorf("verify.py finds a fault: %s", said)
				}
			}
		})
	}
}

// halfRemoved is a log that says that records 2 to 103 are removed, and a bucket where that is half done: the attributes
// of record 2 are gone, and of the first pack a body beside it.
func halfRemoved(b *bench) {
	packed(b)
	l := b.open()
	b.do(l.Start("p", "c", ""))
	b.do(l.Remove(b.t.Context(), "retention", SeqRange{2, 103}))
	b.do(l.Stop(b.t.Context()))
	b.st.describe(b.outcomeKey(2), nil, nil)
	b.st.remove(b.besideKey(50))
}

func TestRemovalHalfDone(t *testing.T) {
	b := newBench(t)
	halfRemoved(b)
	if r := b.verify(VerifyOptions{Packs: linePacks{}}); r.FaultCount != 0 {
		t.Errorf("%v", r.Faults)
	}
	b.st.describe(b.outcomeKey(3), nil, nil)
	b.st.describe(b.outcomeKey(105), nil, nil)
	if r := b.verify(VerifyOptions{Packs: linePacks{}}); r.FaultCount != 1 || r.Faults[0].Seq != 105 {
		t.Errorf("%v", r.Faults)
	}
}

// stubParquet stands for pyarrow: it reads a row from each line.
const stubParquet = `
import json
class ParquetFile:
    def __init__(self, path): self.path = path
    def iter_batches(self, n, columns): yield self
    def to_pylist(self):
        for line in open(self.path):
            row = json.loads(line)
            row["body"] = row["body"].encode()
            yield row
`

func TestIndependentVerifiersAcceptRemovalHalfDone(t *testing.T) {
	s := newIndependent(t)
	b := newBench(t)
	halfRemoved(b)
	s.accept(t, b)
	stub := filepath.Join(t.TempDir(), "pyarrow")
	b.do(os.MkdirAll(stub, 0o700))
	b.do(os.WriteFile(filepath.Join(stub, "__init__.py"), nil, 0o600))
	b.do(os.WriteFile(filepath.Join(stub, "parquet.py"), []byte(stubParquet), 0o600))
	t.Setenv("PYTHONPATH", filepath.Dir(stub))
	b = newBench(t)
	l := b.open()
	b.do(l.Start("p", "c", ""))
	p := b.packOf(1, 1, 1)
	var tree RowTree
	at := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	row := record.Info{Seq: 1, Time: at, Door: "s3", Bucket: "logs", Key: "k", Size: 4, Digest: sha256.Sum256([]byte("body"))}
	tree.Add(&row)
	line, err := json.Marshal(map[string]any{
		"seq": 1, "time_ns": at.UnixNano(), "door": "s3", "source": "", "bucket": "logs", "key": "k", "sent_key": nil, "size": 4,
		"sha256": row.Digest.String(), "attrs_sha256": rowLeaf(&row).Attrs.String(), "extra": `{"object":"` + testBase + `beside"}`, "body": "",
	})
	b.do(err)
	b.st.put(testBase+"beside", []byte("body"))
	p.Size, p.Digest, p.Root = int64(len(line)), sha256.Sum256(line), tree.Root()
	b.st.put(p.Key, line)
	b.do(l.Pack(t.Context(), p))
	b.do(l.Checkpoint(t.Context()))
	s.accept(t, b)
	b.st.remove(testBase + "beside")
	if said, _, python := s.judge(t, &copied{top: t.TempDir()}, b, nil, "--allow-incomplete"); python == nil {
		t.Errorf("a body is gone and nobody said so:\n%s", said)
	}
	b.do(l.Remove(t.Context(), "retention", SeqRange{1, 1}))
	s.accept(t, b)
	b.st.remove(p.Key)
	s.accept(t, b)
	b.do(l.Pack(t.Context(), b.packOf(2, 9, 0)))
	b.do(l.Checkpoint(t.Context()))
	b.do(l.Remove(t.Context(), "retention", SeqRange{2, 8})) // but for one of its rows
	b.st.remove(testBase + "packs/test-log-2-9")
	if said, _, python := s.judge(t, &copied{top: t.TempDir()}, b, nil, "--allow-incomplete"); python == nil || !strings.Contains(said, "missing") {
		t.Errorf("a pack is gone of which one record was not removed, and nobody said so:\n%s", said)
	}
}
