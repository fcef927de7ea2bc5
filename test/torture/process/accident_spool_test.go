//go:build unix

package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"indelible/internal/torture/driver"
)

// spoolAccidents befall the spool and the data directory.
var spoolAccidents = []accident{
	{name: "active segment removed", run: func(m *mishap) error {
		return m.removed(func() error {
			names, err := filepath.Glob(filepath.Join(m.serve.Data, "spool", "*.seg"))
			if err != nil || len(names) == 0 {
				return fmt.Errorf("no segment: %w", err)
			}
			for _, name := range names {
				err = errors.Join(err, os.Remove(name))
			}
			return err
		})
	}},
	{name: "spool emptied", run: func(m *mishap) error {
		return m.removed(func() error {
			return filepath.WalkDir(filepath.Join(m.serve.Data, "spool"), func(name string, d os.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				return os.Remove(name)
			})
		})
	}},
	{name: "data directory removed", run: func(m *mishap) error {
		if err := m.begin(); err != nil {
			return err
		}
		keep := filepath.Join(m.dir, "key")
		if err := m.copyData(keep); err != nil { // what an operator has of it: the key
			return err
		}
		m.front.Refuse()
		if err := m.must("gone", 30); err != nil {
			return err
		}
		if err := os.RemoveAll(m.serve.Data); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		m.send("after", 60)
		m.serve.Kill()
		f, err := m.oracle.Check(m.bucket)
		if err != nil {
			return err
		}
		for _, key := range f.Missing {
			if strings.HasPrefix(key, "after/") {
				return fmt.Errorf("%s was acked after its directory was removed, and is in no bucket", key)
			}
		}
		return nil
	}},
	{name: "old copy started", run: func(m *mishap) error {
		if err := m.forked(); err != nil {
			return err
		}
		if err := m.supervise("fork", 3); err != nil {
			return err
		}
		return m.rescued()
	}},
	{name: "old copy started, destination away", run: func(m *mishap) error {
		if err := m.forked(); err != nil {
			return err
		}
		m.front.Refuse()
		if err := m.serve.Start(); err != nil {
			return err
		}
		m.oracle.NumbersMayRepeat() // nothing on this machine can know: docs/recovery.md
		acked := m.send("away", 40)
		if err := m.front.Accept(); err != nil {
			return err
		}
		if !m.serve.Wait(patience) {
			return fmt.Errorf("the fork is not noticed, %d records were acked", acked)
		}
		if err := m.supervise("fork", 2); err != nil {
			return err
		}
		return m.rescued()
	}},
	{name: "prove after a fork", run: func(m *mishap) error {
		if err := m.forked(); err != nil {
			return err
		}
		m.front.Refuse()
		if err := m.serve.Start(); err != nil {
			return err
		}
		m.oracle.NumbersMayRepeat()
		m.send("away", 20)
		if err := m.front.Accept(); err != nil {
			return err
		}
		if !m.serve.Wait(patience) {
			return fmt.Errorf("the fork is not noticed")
		}
		for _, key := range m.oracle.Keys("away/") {
			if err := m.proves(key); err != nil {
				return err
			}
		}
		return m.rescued()
	}},
	{name: "a second owner, the lock's file removed", run: func(m *mishap) error {
		if err := m.begin(); err != nil {
			return err
		}
		m.front.Refuse()
		if err := m.must("first", 20); err != nil {
			return err
		}
		for _, name := range []string{"lock", "spool/lock", "run.json", "indelible.sock"} {
			if err := os.Remove(filepath.Join(m.serve.Data, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
		second := *m.serve
		second.Log = filepath.Join(m.dir, "second")
		started := second.Start() == nil
		defer second.Kill()
		for range 20 {
			m.send("first", 2)
			if started {
				m.oracle.Put(m.ctx, m.client, second.At.S3, driver.Name("second", uint64(m.sent), 600), 0)
			}
		}
		m.serve.Kill()
		second.Kill()
		return m.settled()
	}},
	{name: "500 other bodies under one key", run: func(m *mishap) error {
		if err := m.begin(); err != nil {
			return err
		}
		begun := time.Now()
		for version := range 500 {
			if err := m.oracle.Put(m.ctx, m.client, m.serve.At.S3, driver.Name("same", 1, 600), version); err != nil {
				return err
			}
		}
		if err := m.proven(); err != nil {
			return err
		}
		m.t.Logf("delivered within %v", time.Since(begun).Round(time.Second))
		for version := range 500 { // what was released, again: none is doubled
			if err := m.oracle.Put(m.ctx, m.client, m.serve.At.S3, driver.Name("same", 1, 600), version); err != nil {
				return err
			}
		}
		if err := m.proven(); err != nil {
			return err
		}
		return m.settled()
	}},
}

// proves fails if prove gives a proof for a key that is not one of its record. That it gives none is well.
func (m *mishap) proves(key string) error {
	proof, err := m.serve.Run(m.ctx, "prove", "--key", key)
	if err != nil {
		return nil
	}
	p, r := filepath.Join(m.dir, "proof"), filepath.Join(m.dir, "record")
	if err := errors.Join(os.WriteFile(p, proof, 0o600), os.WriteFile(r, driver.Body(key, 0), 0o600)); err != nil {
		return err
	}
	if _, err := m.serve.Run(m.ctx, "verify", "--proof", p, "--record", r); err != nil {
		return fmt.Errorf("prove %s gives a proof that is not the record's: %w", key, err)
	}
	return nil
}

// removed has files of the spool removed under the daemon, with the destination away. What
// was acked before is gone with them, unless it is read from what is still open; what is acked
// after it may not be.
func (m *mishap) removed(remove func() error) error {
	if err := m.begin(); err != nil {
		return err
	}
	m.front.Refuse()
	if err := m.must("gone", 30); err != nil {
		return err
	}
	if err := remove(); err != nil {
		return err
	}
	m.send("after", 60)
	m.serve.Kill()
	return m.settled("gone")
}

// forked has an old copy of the data directory put in its place.
func (m *mishap) forked() error {
	if err := m.begin(); err != nil {
		return err
	}
	if err := m.serve.Stop(); err != nil {
		return err
	}
	old := filepath.Join(m.dir, "old")
	if err := m.copyData(old); err != nil {
		return err
	}
	if err := m.serve.Start(); err != nil {
		return err
	}
	if err := errors.Join(m.must("newer", 20), m.proven()); err != nil {
		return err
	}
	m.serve.Kill()
	return m.putBack(old)
}

// rescued follows the advice, and comes to the end.
func (m *mishap) rescued() error {
	if err := m.advised(); err != nil {
		return err
	}
	return m.settled()
}
