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
	proofSuite  = suite{"./internal/proof", "Test(Death|FailedBut|Hundred|Life|Sizes|Tampering|Verify|Open|MLDSA|Quorum|KeyOutside)"}
	dirSuite    = suite{"./internal/store/dir", "Test"}
	s3Suite     = suite{"./internal/store/s3", "Test"}
	sigSuite    = suite{"./internal/ingest/sigv4", "Test"}
	proxySuite  = suite{"./internal/ingest/proxy", "Test"}
	otlpSuite   = suite{"./internal/ingest/otlpapi", "Test"}
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

	{"an upstream's abort reaches the client as a clean end", "internal/recorder/answer.go",
		"	a.err = err\n	if _, announced := ", "	err = io.EOF\n	a.err = err\n	if _, announced := ", proxySuite, "TestUpstreamAbortsStayAborts"},
	{"a request is sent before its open record is durable", "internal/recorder/roundtrip.go",
		"		if err := x.openOrPass(req.Context()); err != nil {\n", "		go func() { _ = x.openOrPass(req.Context()) }()\n		if err := error(nil); err != nil {\n", proxySuite, "TestNothingIsSentBeforeTheOpenRecord"},
	{"the end of an answer is given out before its close record", "internal/recorder/exchange.go",
		"		if !x.r.o.Relaxed {\n			defer", "		if false {\n			defer", proxySuite, "TestNoAnswerEndsBeforeItsCloseRecord"},
	{"an answer whose close record failed is given out whole", "internal/recorder/answer.go",
		"	if ferr != nil {\n		a.err = ferr\n		return 0, a.err", "	if false {\n		a.err = ferr\n		return 0, a.err", proxySuite, "TestNoRoomForTheCloseRecord"},
	{"headers that may hold a credential are recorded", "internal/capture/headers.go",
		"		if !keepHeader(lower) {\n", "		if false {\n", proxySuite, "TestNoSecretStays"},
	{"a credential that the upstream repeats is recorded", "internal/recorder/exchange.go",
		"	c.Scrub(secrets)\n", "", proxySuite, "TestNoSecretStays"},
	{"the OTLP door answers a partial success", "internal/ingest/otlpapi/otlpapi.go",
		"write(q.w, http.StatusOK, nil)", "write(q.w, http.StatusOK, []byte(\"\\n\\x02\\b\\x01\"))", otlpSuite, "TestTakes"},

	{"the ack before the fsync", "internal/spool/writer.go",
		"	if err := w.sync(b); err != nil {\n		w.fail(err, b)\n		return\n	}\n	w.synced = w.end\n	w.ack(b)\n",
		"	w.ack(b)\n	if err := w.sync(b); err != nil {\n		w.fail(err, b)\n		return\n	}\n	w.synced = w.end\n", spoolSuite, "TestAppendAllIsOneCommit"},
	{"no fsync of the segment", "internal/spool/writer.go",
		"err := b.file.Sync()\n", "var err error\n", spoolSuite, "TestAppendAllCrash"},
	{"the fsync returns before the disk has it (fdatasync left out)", "internal/disk/osdisk/osdisk.go",
		"func (f osFile) Sync() error               { return datasync(f.File) }", "func (f osFile) Sync() error               { return nil }", callsSuite, "TestSystemCalls"},
	{"the segment's name is not made durable", "internal/spool/writer.go",
		"} else if b.name {\n", "} else if false {\n", spoolSuite, "TestAppendAllCrash"},
	{"a failed fsync is tried again on the same file", "internal/spool/writer.go",
		"err := b.file.Sync()\n", "err := b.file.Sync()\n	if err != nil {\n		err = b.file.Sync()\n	}\n", spoolSuite, "TestFsyncFails"},
	{"records are acked into a segment that was removed", "internal/spool/writer.go",
		"linked, err = b.file.Linked(); err == nil && !linked {", "linked, err = b.file.Linked(); err == nil && !linked && false {", spoolSuite, "TestRemovedSegment"},
	{"records are acked into a spool that another process has opened", "internal/spool/writer.go",
		"		err = w.owner.check()\n", "", spoolSuite, "TestSecondOwner"},
	{"a record whose write failed is acked", "internal/spool/writer.go",
		"w.queue.requeue(b.entries, err)", "w.queue.finishAll(b.entries, nil)", spoolSuite, "TestAppendAllCrash"},
	{"a long body is not synced", "internal/spool/body.go",
		"	if err = w.file.Sync(); err != nil {\n		return 0, err\n	}\n", "", spoolSuite, "TestCrash"},
	{"a long body's name is not made durable", "internal/spool/body.go",
		"return sum, w.dir.names.sync(w.dir.fs, bodyDir)", "return sum, nil", spoolSuite, "TestCrash"},
	{"a name shares the sync that had begun before it came", "internal/spool/namesync.go",
		"n.next, n.last = nil, r", "n.last = r", spoolSuite, "TestNameSync"},
	{"what was sent again is not known again", "internal/spool/known.go",
		"have.copy != 0 && have.copy == id.copy", "have.copy != 0 && have.copy == id.copy && false", spoolSuite, "TestAppendAllMixed"},
	{"a disk over its quota is no full disk", "internal/spool/smallfile.go",
		"errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)", "errors.Is(err, syscall.ENOSPC)", spoolSuite, "TestFullDiskDrains"},

	{"small files are renamed into place unsynced", "internal/spool/smallfile.go",
		"if _, err = file.WriteAt(data, 0); err == nil {\n		err = file.Sync()\n	}", "_, err = file.WriteAt(data, 0)", spoolSuite, "TestCrash"},
	{"a rename is not made durable", "internal/spool/smallfile.go",
		"return fs.SyncDir(path.Dir(name))", "_ = path.Dir(name)\n	return nil", spoolSuite, "TestRedrive"},
	{"what a killed process wrote is believed without a sync", "internal/spool/open.go",
		"if err := s.rewrite(g.name, h, sc.sure, sc.end); err != nil {", "if err := error(nil); err != nil {", spoolSuite, "TestAckAfterKillSurvivesPowerLoss"},
	{"names of a killed process are believed without a sync", "internal/spool/open.go",
		"	for _, dir := range []string{\".\", bodyDir, parkedDir} {\n		if err := s.fs.SyncDir(dir); err != nil {", "	for _, dir := range []string{} {\n		if err := s.fs.SyncDir(dir); err != nil {", spoolSuite, "TestNamesOfAKilledProcess"},
	{"a failed read is damage", "internal/spool/parked.go",
		"return err != nil && !failed && !errors.Is(err, record.ErrClosed)", "return err != nil && (failed || !errors.Is(err, record.ErrClosed))", spoolSuite, "TestReadOutageLosesNothing"},
	{"a number is given twice", "internal/spool/open.go",
		"if acked > durable && !s.opts.ReadOnly {", "if acked > durable && false {", spoolSuite, "TestLostFiles"},
	{"the mark outside of the segments is not asked", "internal/spool/open.go",
		"return max(high, record.Seq(st.Acked)), nil", "return max(min(high, 0), record.Seq(st.Acked)), nil", spoolSuite, "TestAckedZerosAreNoTornTail"},
	{"recovery stops at the first damage", "internal/spool/scan.go",
		"if err != nil || next < 0 {\n				return items, err", "if err != nil || next != -2 {\n				return items, err", spoolSuite, "TestBitFlips"},
	{"damage to what was acked passes for a torn tail", "internal/spool/scan.go",
		"acked := func(it item) bool { return it.end <= end || it.h.seq <= known.acked }", "acked := func(item) bool { return false }", spoolSuite, "TestDamagedNameIsToldAtTheStart"},
	{"a batch counts without its commit frame", "internal/spool/scan.go",
		"	for i := n; i < len(items); i++ {\n		if acked(items[i]) {", "	for i := n; i < len(items); i++ {\n		if true {", spoolSuite, "TestCrash"},
	{"a damaged entry passes at the start", "internal/spool/scan.go",
		"if crc32.Checksum(b, castagnoli) != h.metaCRC {", "if false {", spoolSuite, "TestDamagedNameIsToldAtTheStart"},
	{"a damaged name or attribute is handed out", "internal/spool/entry.go",
		"if crc32.Checksum(b, castagnoli) != h.metaCRC {", "if false {", spoolSuite, "TestBitFlips"},
	{"a damaged long body is handed out", "internal/spool/body.go",
		"if crc32.Checksum(b.buf, castagnoli) != binary.LittleEndian.Uint32(b.table[n*4:]) {", "if false {", spoolSuite, "TestBitFlips"},
	{"segments are removed before the release is durable", "internal/spool/settle.go",
		"	if err := t.state.write(st); err != nil {\n		return err\n	}\n	t.mu.Lock()\n",
		"	s.segs.released.Store(uint64(upto))\n	s.segs.removeReleased()\n	if err := t.state.write(st); err != nil {\n		return err\n	}\n	t.mu.Lock()\n", spoolSuite, "TestKillEverywhere"},
	{"a closed spool goes on", "internal/spool/spool.go",
		"if s.closing.Load() || !s.life.TryRLock() {\n		return record.ErrClosed\n	}\n	if s.closing.Load() {", "if !s.life.TryRLock() {\n		return record.ErrClosed\n	}\n	if false {", spoolSuite, "TestClosedIsClosed"},

	{"a record is given up after three attempts", "internal/upload/delivery.go",
		"	case s.strikes >= d.deferLimit(s) && s.pack == nil:\n		d.park(s, record.Deferred,", "	case s.attempts >= 3:\n		d.park(s, record.Quarantined,", uploadSuite, "TestFaultsAndRestarts"},
	{"a timeout or a 500 counts as stored", "internal/upload/delivery.go",
		"	case v.err == nil:\n		d.stored(s, v, now)", "	case v.err == nil || v.class == store.Ambiguous:\n		d.stored(s, v, now)", uploadSuite, "TestWrongConfirmation"},
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
	{"a page of somebody in between is an empty list", "internal/store/s3/list.go",
		"	if out.Name == nil && out.KeyCount == nil {\n		err = errNoList\n	}\n", "", s3Suite, "TestSomebodyElseAnswers"},
	{"the directory store does not sync an object", "internal/store/dir/attributes.go",
		"at, err := copyBody(ctx, file, o)\n	if err == nil {\n		err = file.Sync()\n	}", "at, err := copyBody(ctx, file, o)", dirSuite, "TestCrashAtEachOperation"},
	{"the directory store does not sync an object's name", "internal/store/dir/dir.go",
		"err = errors.Join(s.disk.Remove(tmp), s.disk.SyncDir(path.Dir(name)))", "err = s.disk.Remove(tmp)", dirSuite, "TestCrashAtEachOperation"},
	{"attributes that another process wrote are taken for one's own", "internal/store/dir/dir.go",
		"	if !there.same(at) {\n		return errExists\n	}\n	return nil", "	_ = there\n	return nil", dirSuite, "TestSameBytesFromTwoProcesses"},
	{"that a key may have variants is not noted durably", "internal/store/dir/tilde.go",
		"	if err := s.disk.SyncDir(path.Dir(name)); err != nil {\n		return err\n	}\n	s.setDurable(name, in)", "	s.setDurable(name, in)", dirSuite, "TestAbsentAfterAFailure"},

	{"a leaf is published before it is remembered", "internal/proof/publish.go",
		"	if err := l.decide(s); err != nil {\n		return err\n	}\n	// Lay out", "	// Lay out", proofSuite, "TestDeathAtEveryPut"},
	{"the checkpoint goes out before its tiles", "internal/proof/publish.go",
		"	if err := layOut(); err != nil {\n		return err\n	}\n	if err := l.decideRepairs()", "	defer func() { _ = layOut() }()\n	if err := l.decideRepairs()", proofSuite, "TestDeathAtEveryPut"},
	{"a checkpoint that is away for a moment is a fork", "internal/proof/log.go",
		"&& attempt < patience; attempt++", "&& attempt < 1; attempt++", proofSuite, "TestOpenAsksAgainForTheCheckpoint"},
	{"the proof's memory is not synced", "internal/proof/state.go",
		"	if err == nil {\n		err = f.Sync()\n	}\n", "", proofSuite, "TestDeathAtEveryPut"},
	{"the log's memory is written over a name that nobody synced", "internal/proof/memory.go",
		"	if err := m.disk.SyncDir(stateDir); err != nil {\n		return err\n	}\n	now, err", "	now, err", proofSuite, "TestStateIsNotWrittenOverUnsyncedNames"},
	{"verify overlooks a missing object", "internal/proof/objects.go",
		"		r.v.miss(j.last, j.fault(\"the object is missing\"))\n", "", proofSuite, "TestTampering"},
	{"verify does not compare the SHA-256", "internal/proof/objects.go",
		"case sum != j.digest:", "case false:", proofSuite, "TestTampering"},
	{"a pack of the store is believed unseen while no record can be read", "internal/upload/pack_known.go",
		"if ok, err := u.otherThan(ctx, failed.Seq, newest); err == nil && ok {", "if ok, err := u.otherThan(ctx, failed.Seq, newest); err == nil || ok {", uploadSuite, "TestPackAdoptWhileDiskFails"},
	{"a pack is stored again of which the spool lost the first records", "internal/upload/packer.go",
		"		if next == 0 {\n", "		if next > 0 || next == 0 {\n", uploadSuite, "TestPackAdoptLost"},
	{"a record that could not be read is settled by a row that nobody compared", "internal/upload/pack.go",
		"slices.BinarySearch(p.unseen, p.First+record.Seq(i)); unseen {", "slices.BinarySearch(p.unseen, p.First+record.Seq(i)); unseen && false {", uploadSuite, "TestPackAdoptOtherRow"},
	{"verify tells of a loss before it has read the log on", "internal/proof/verify.go",
		"|| !v.unexplained() {", "|| true {", proofSuite, "TestVerifyWhileExpiring"},
	{"verify follows no change of key that happens meanwhile", "internal/proof/verify.go",
		"grown, err := v.newerKept(ctx)", "grown, err := false, error(nil)", proofSuite, "TestVerifyWhileExpiring"},
	{"a key that was replaced signs on", "internal/proof/checkpoints.go",
		"if h.Size >= k.from && h.Size <= k.to {", "if true {", proofSuite, "TestTampering"},
	{"verify overlooks headers that were changed", "internal/proof/objects.go",
		"	case sum == j.attrs:\n", "	case sum == j.attrs || has:\n", proofSuite, "TestTampering"},
	{"records leave the proof no turn", "internal/upload/pace.go",
		"if wait <= 0 && (p.others == 0 || p.others < p.share() && p.records+p.others < p.pacer.allowed()) {",
		"if wait <= 0 && p.others < p.share() && p.records+p.others < p.pacer.allowed() {", uploadSuite, "TestNeitherStopsTheOther"},
	{"the proof leaves records no turn", "internal/upload/pace.go",
		"return p.records < max(1, p.pacer.allowed()-yield)", "return p.records < p.pacer.allowed()-yield", uploadSuite, "TestNeitherStopsTheOther"},
	{"verify does not hash the bodies in a pack", "internal/proof/packs.go",
		"case size != row.Size || sum != row.Digest:", "case false:", proofSuite, "TestTampering/body_of_one_row_changed"},
	{"verify does not compare the root over a pack's rows", "internal/proof/packs.go",
		"case hex.EncodeToString(root[:]) != j.root:", "case false && hex.EncodeToString(root[:]) != j.root:", proofSuite, "TestTampering/row_changed.*"},
	{"verify takes rows in any order", "internal/proof/packs.go",
		"if row.Seq != next || row.Seq > j.last {", "if row.Seq > j.last {", proofSuite, "TestTampering/row_left_out.*"},
	{"one half of a log's key is enough", "internal/proof/vkey.go",
		"if !found {", "if false {", proofSuite, "TestMLDSAHoldsAlone"},
	{"any number of witnesses is a quorum", "internal/proof/policy.go",
		"return have >= n.need", "return true", proofSuite, "TestQuorum"},
	{"what a signer outside returns is believed", "internal/proof/keys.go",
		"if !v.verifyBytes(message, sig) {", "if false {", proofSuite, "TestKeyOutside"},
}
