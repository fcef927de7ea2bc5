package layout

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"indelible/internal/record"
	"indelible/internal/store"
)

// packExt is the extension of packs, besideExt that of bodies too large for a row.
const (
	packExt   = ".parquet"
	besideExt = ".body"
)

// PackFile is the file name of a pack: "<log>-<first>-<last>.parquet", the numbers in 20 digits.
func PackFile(log string, first, last record.Seq) string {
	return fmt.Sprintf("%s-%020d-%020d%s", log, first, last, packExt)
}

// ParsePackFile reads what PackFile wrote, and the name of a variant of it.
func ParsePackFile(name string) (log string, first, last record.Seq, ok bool) {
	stem, ok := strings.CutSuffix(name, packExt)
	if !ok {
		return "", 0, 0, false
	}
	stem, _, _ = strings.Cut(stem, "~")
	if len(stem) < 43 || stem[len(stem)-21] != '-' || stem[len(stem)-42] != '-' {
		return "", 0, 0, false
	}
	a, err1 := strconv.ParseUint(stem[len(stem)-41:len(stem)-21], 10, 64)
	b, err2 := strconv.ParseUint(stem[len(stem)-20:], 10, 64)
	if err1 != nil || err2 != nil || a == 0 || b < a {
		return "", 0, 0, false
	}
	return stem[:len(stem)-42], record.Seq(a), record.Seq(b), true
}

// PackDay is what the names of all packs begin with whose first record arrived on
// the day of at, in UTC.
func (o Objects) PackDay(at time.Time) string {
	return o.Base() + PackDir + at.UTC().Format("dt=2006-01-02/")
}

// packHour has the hour without a leading zero: so ranges on it work in every reader.
func (o Objects) packHour(at time.Time) string {
	return o.PackDay(at) + "hour=" + strconv.Itoa(at.UTC().Hour()) + "/"
}

// PackKey is the key as stored of a pack whose first record arrived at that time.
func (o Objects) PackKey(log string, first, last record.Seq, at time.Time) string {
	return o.packHour(at) + PackFile(log, first, last)
}

// BesideKey is the key as stored of a body that is too large for a row of a pack:
// it lies beside the packs of the hour in which the record arrived.
func (o Objects) BesideKey(log string, info record.Info) string {
	return o.packHour(info.Time) + fmt.Sprintf("%s-%020d%s", log, info.Seq, besideExt)
}

// ParseBesideFile reads the file name of a key that BesideKey made.
func ParseBesideFile(name string) (log string, seq record.Seq, ok bool) {
	stem, ok := strings.CutSuffix(name, besideExt)
	at := strings.LastIndexByte(stem, '-')
	if !ok || at < 1 || len(stem)-at != 21 {
		return "", 0, false
	}
	n, err := strconv.ParseUint(stem[at+1:], 10, 64)
	return stem[:at], record.Seq(n), err == nil && n > 0
}

// Pack is what to store for a pack: everything but its Body.
func (o Objects) Pack(p record.Pack, log string) store.Object {
	return store.Object{
		Key: p.Key, Size: p.Size, Digest: p.Digest,
		Header: map[string]string{"content-type": "application/vnd.apache.parquet"},
		Meta:   map[string]string{MetaLog: log, MetaDigest: p.Digest.String()},
	}
}
