package main

// mutant is one way to break the product on purpose.
type mutant struct {
	name string // what is broken, as the table prints it
	file string
	old  string // occurs exactly once in the file
	new  string
	by   suite // the tests that have to notice
	// likely is the test of the suite that noticed the last time: it is asked first, and the
	// whole suite only if it does not notice. "": the whole suite at once.
	likely string
}

// suite is a go test: a package and what of it to run.
type suite struct{ pkg, run string }

// The suites. None is written for a mutant: each is what runs on every change,
// less what cannot notice and takes long.
var (
	spoolSuite  = suite{"./internal/spool", "Test([^B]|BitFlips)"}
	uploadSuite = suite{"./internal/upload", "Test"}
	proofSuite  = suite{"./internal/proof", "Test(Death|FailedBut|Hundred|Life|Sizes|Tampering|Verify|Open)"}
	dirSuite    = suite{"./internal/store/dir", "Test"}
	s3Suite     = suite{"./internal/store/s3", "Test"}
	sigSuite    = suite{"./internal/ingest/sigv4", "Test"}
	callsSuite  = suite{"./cmd/indelible", "TestSystemCalls|TestKill"}
)

// mutants in the order of a record's way.
var mutants = []mutant{
	{"a body shorter than announced is acked", "internal/ingest/sigv4/body.go",
		"if b.size >= 0 && b.n != b.size {", "if false {", sigSuite, "TestLength"},
	{"the body's SHA-256 is not compared with the announced one", "internal/ingest/sigv4/body.go",
		"case b.wantSHA != \"\" && b.wantSHA != digest.String():", "case false:", sigSuite, "TestDigests"},
	{"any signature is right", "internal/ingest/sigv4/canonical.go",
		"subtle.ConstantTimeCompare(want[:], got[:]) == 1", "subtle.ConstantTimeCompare(want[:], got[:]) >= 0", sigSuite, "TestCaptures"},

	{"the ack before the fsync", "internal/spool/commit.go",
		"	err := s.fsync(g, len(b.waiters), int64(len(b.buf)))\n	s.mu.Lock()\n	if err != nil {\n		s.totals",
		"	var err error\n	defer func() { _ = s.fsync(g, len(b.waiters), int64(len(b.buf))) }()\n	s.mu.Lock()\n	if err != nil {\n		s.totals", spoolSuite, "TestAppendAllCrash"},
	{"no fsync of the segment", "internal/spool/commit.go",
		"err := g.file.Sync()\n", "var err error\n", spoolSuite, "TestAppendAllCrash"},
	{"the fsync returns before the disk has it (fdatasync left out)", "internal/disk/osdisk/osdisk.go",
		"func (f osFile) Sync() error               { return datasync(f.File) }", "func (f osFile) Sync() error               { return nil }", callsSuite, "TestSystemCalls"},
	{"the segment's name is not made durable", "internal/spool/commit.go",
		"if err = s.fs.SyncDir(\".\"); err == nil {", "if err == nil {", spoolSuite, "TestAppendAllCrash"},
	{"a failed fsync is tried again on the same file", "internal/spool/commit.go",
		"err := g.file.Sync()\n", "err := g.file.Sync()\n	if err != nil {\n		err = g.file.Sync()\n	}\n", spoolSuite, "TestFsyncFails"},
	{"a long body is not synced", "internal/spool/body.go",
		"	if err = w.file.Sync(); err != nil {\n		return 0, err\n	}\n", "", spoolSuite, "TestCrash"},
	{"a long body's name is not made durable", "internal/spool/body.go",
		"return sum, names.sync(fs, bodyDir)", "return sum, nil", spoolSuite, "TestCrash"},
	{"a name shares the sync that had begun before it came", "internal/spool/names.go",
		"n.next, n.last = nil, r", "n.last = r", spoolSuite, "TestNameSync"},
	{"on a full disk the record is dropped and acked", "internal/spool/append.go",
		"			s.noSpace()\n			w = s.anew(w)\n			continue\n", "			return s.receipt(w, false), nil\n", spoolSuite, "TestWritesFail"},
	{"what was sent again is not known again", "internal/spool/known.go",
		"if err == nil && fits(e.Info) {\n				return e.Info, true, nil", "if err == nil && fits(e.Info) && false {\n				return e.Info, true, nil", spoolSuite, "TestAppendAllMixed"},

	{"small files are renamed into place unsynced", "internal/spool/segment.go",
		"if _, err = file.WriteAt(data, 0); err == nil {\n		err = file.Sync()\n	}", "_, err = file.WriteAt(data, 0)", spoolSuite, "TestDiskOperations"},
	{"a rename is not made durable", "internal/spool/segment.go",
		"return s.fs.SyncDir(dirOf(name))", "return nil", spoolSuite, "TestDiskOperations"},
	{"a number is given twice", "internal/spool/recover.go",
		"known > s.durable {", "known > s.durable && false {", spoolSuite, "TestLostFiles"},
	{"recovery stops at the first damage", "internal/spool/scan.go",
		"next := findEntry(w, head, off+8, size)", "next := min(findEntry(w, head, off+8, size), -1)", spoolSuite, "TestAckedZerosAreNoTornTail"},
	{"damage to what was acked passes for a torn tail", "internal/spool/scan.go",
		"if it.bad == \"\" || it.off < synced {", "if it.bad == \"\" {", spoolSuite, "TestAckedZerosAreNoTornTail"},
	{"a damaged entry passes at the start", "internal/spool/scan.go",
		"err == nil && crc32.Checksum(b, castagnoli) == h.metaCRC", "err == nil", spoolSuite, "TestDamagedNameIsToldAtTheStart"},
	{"a damaged name or attribute is handed out", "internal/spool/read.go",
		"if crc32.Checksum(b, castagnoli) != h.metaCRC {", "if false {", spoolSuite, "TestBitFlips"},
	{"a damaged long body is handed out", "internal/spool/body.go",
		"if crc32.Checksum(b.buf, castagnoli) != binary.LittleEndian.Uint32(b.table[n*4:]) {", "if false {", spoolSuite, "TestBitFlips"},
	{"segments are removed before the release is durable", "internal/spool/settle.go",
		"	if err := s.writeState(st); err != nil {\n		return fmt.Errorf(\"release: %w\", err)\n	}\n",
		"	s.mu.Lock()\n	s.released = upto\n	s.mu.Unlock()\n	s.removeReleased()\n	if err := s.writeState(st); err != nil {\n		return fmt.Errorf(\"release: %w\", err)\n	}\n", spoolSuite, "TestTortureFsync"},

	{"a record is given up after three attempts", "internal/upload/delivery.go",
		"	case s.strikes >= d.deferLimit():\n		d.setAside(s, record.Deferred,", "	case s.attempts >= 3:\n		d.setAside(s, record.Quarantined,", uploadSuite, "TestFaultsAndRestarts"},
	{"a timeout or a 500 counts as stored", "internal/upload/delivery.go",
		"	case v.err == nil:\n		d.stored(s, v, now)", "	case v.err == nil || v.class == store.Ambiguous:\n		d.stored(s, v, now)", uploadSuite, "TestWrongConfirmation"},
	{"a read that failed is a gap", "internal/upload/attempt.go",
		"		v.unread = !damaged\n", "		v.unread = damaged\n", uploadSuite, "TestReadOutage"},
	{"a record is delivered before the log is matched", "internal/upload/delivery.go",
		"	if !d.ready || d.full()", "	if d.full()", uploadSuite, "TestNoDeliveryBeforeTheLogIsMatched"},
	{"a deferred record is stored again by each sweep", "internal/upload/delivery.go",
		"stored || d.aside[e.Seq] != nil {", "stored && d.aside[e.Seq] != nil || d.aside[e.Seq] != nil {", uploadSuite, "TestDeferredIsStoredOnce"},
	{"a 412 counts as stored", "internal/upload/attempt.go",
		"			v.exists = true\n		}\n		info, same, err := u.find(", "			return store.Info{Key: o.Key}, nil\n		}\n		info, same, err := u.find(", uploadSuite, "TestFaultsAndRestarts"},
	{"the checksum that the store confirms is not compared", "internal/upload/attempt.go",
		"case info.Digest != record.Digest{} && info.Digest != o.Digest:", "case false:", uploadSuite, "TestWrongConfirmation"},
	{"a record is released before a checkpoint covers it", "internal/upload/commit.go",
		"if !c.retryForever(ctx, \"checkpoint\", func() error { return l.Checkpoint(ctx) }) ||\n			!c.retryForever(", "if !c.retryForever(", uploadSuite, "TestFaultsAndRestarts"},
	{"what the log did not take is released as if it had", "internal/upload/commit.go",
		"Ledger.Add(ctx, batch...) }) {\n", "Ledger.Add(ctx, batch...) }) {\n			c.unproven = append(c.unproven, batch...)\n", uploadSuite, "TestStopWhileLedgerFails"},
	{"a PUT overwrites what is there", "internal/store/s3/put.go",
		"		in.IfNoneMatch = aws.String(\"*\")\n", "", s3Suite, "TestCheck"},
	{"an empty 200 counts as stored", "internal/store/s3/put.go",
		"case err == nil && aws.ToString(out.ETag) != \"\" && parseDigest(out.ChecksumSHA256) == o.Digest:", "case err == nil && out != nil:", s3Suite, "TestCheckThroughFaults"},
	{"the directory store does not sync an object", "internal/store/dir/attributes.go",
		"at, err := copyBody(ctx, file, o)\n	if err == nil {\n		err = file.Sync()\n	}", "at, err := copyBody(ctx, file, o)", dirSuite, "TestCrashAtEachOperation"},
	{"the directory store does not sync an object's name", "internal/store/dir/dir.go",
		"err = errors.Join(s.disk.Remove(tmp), s.disk.SyncDir(path.Dir(name)))", "err = s.disk.Remove(tmp)", dirSuite, "TestCrashAtEachOperation"},

	{"a leaf is published before it is remembered", "internal/proof/checkpoint.go",
		"	if err := s.save(l.disk); err != nil {\n		return err\n	}\n	// Lay out", "	// Lay out", proofSuite, "TestDeathAtEveryPut"},
	{"the checkpoint goes out before its tiles", "internal/proof/checkpoint.go",
		"	if err := l.putAll(ctx, puts); err != nil {\n		return err\n	}\n", "	defer func() { _ = l.putAll(ctx, puts) }()\n", proofSuite, "TestDeathAtEveryPut"},
	{"a checkpoint that is away for a moment is a fork", "internal/proof/log.go",
		"&& attempt < patience; attempt++", "&& attempt < 1; attempt++", proofSuite, "TestOpenAsksAgainForTheCheckpoint"},
	{"the proof's memory is not synced", "internal/proof/state.go",
		"	if err == nil {\n		err = f.Sync()\n	}\n", "", proofSuite, "TestDeathAtEveryPut"},
	{"verify overlooks a missing object", "internal/proof/objects.go",
		"		r.v.miss(Fault{Seq: j.seq, Key: j.key, Object: j.object, What: \"the object is missing\"})\n", "", proofSuite, "TestTampering"},
	{"verify does not compare the SHA-256", "internal/proof/objects.go",
		"case sum != j.digest:", "case false:", proofSuite, "TestTampering"},
}
