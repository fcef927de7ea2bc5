package config

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"indelible/internal/proof"
)

// take sets to to what was read, if nothing is wrong with it.
func take[T any](to *T, v T, err error) error {
	if err == nil {
		*to = v
	}
	return err
}

// Duration is a time.Duration that is written as ParseDuration reads it.
type Duration time.Duration

// String writes whole days as days, and no zero parts.
func (d Duration) String() string {
	if t := time.Duration(d); t >= day && t%day == 0 {
		return strconv.FormatInt(int64(t/day), 10) + "d"
	}
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText is String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText is ParseDuration.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := ParseDuration(string(text))
	return take(d, Duration(v), err)
}

// Size is a number of bytes.
type Size int64

// String is the size exactly, in the largest unit that divides it.
func (n Size) String() string {
	for _, u := range sizeUnits {
		if int64(n) >= u.n && int64(n)%u.n == 0 && u.n > 1 {
			return strconv.FormatInt(int64(n)/u.n, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(n), 10) + "B"
}

// MarshalText is String.
func (n Size) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// UnmarshalText is ParseSize.
func (n *Size) UnmarshalText(text []byte) error {
	v, err := ParseSize(string(text))
	return take(n, Size(v), err)
}

// Percent is above 0 and at most 100.
type Percent float64

// MarshalText writes it with its sign.
func (p Percent) MarshalText() ([]byte, error) {
	return []byte(strconv.FormatFloat(float64(p), 'g', -1, 64) + "%"), nil
}

// UnmarshalText is ParsePercent.
func (p *Percent) UnmarshalText(text []byte) error {
	v, err := ParsePercent(string(text))
	return take(p, Percent(v), err)
}

// ParsePercent reads a percentage above 0 and up to 100, with its sign or without.
func ParsePercent(s string) (float64, error) {
	n, err := strconv.ParseFloat(strings.TrimSuffix(s, "%"), 64)
	if err != nil || !(n > 0 && n <= 100) {
		return 0, errors.New("want a percentage such as 5%")
	}
	return n, nil
}

const day = 24 * time.Hour

// ParseDuration reads a duration as Go writes it, or with days: "90s",
// "1h30m", "180d", "1d12h".
func ParseDuration(s string) (time.Duration, error) {
	wrong := errors.New("want a duration such as 90s, 10m or 180d")
	days, rest, found := strings.Cut(s, "d")
	if !found {
		d, err := time.ParseDuration(s)
		if err != nil || d < 0 {
			return 0, wrong
		}
		return d, nil
	}
	n, err := strconv.ParseUint(days, 10, 31)
	if err != nil || n > uint64(math.MaxInt64/day)-1 {
		return 0, wrong
	}
	if rest == "" {
		return time.Duration(n) * day, nil
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || d > day {
		return 0, wrong
	}
	return time.Duration(n)*day + d, nil
}

var sizeUnits = []struct {
	name string
	n    int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1},
}

// ParseSize reads a number of bytes: "64MiB", "10GB", "1.5TiB", "4096".
func ParseSize(s string) (int64, error) {
	wrong := errors.New("want a size such as 64MiB or 10GB")
	number, unit := s, int64(1)
	for _, u := range sizeUnits {
		if len(s) > len(u.name) && strings.EqualFold(s[len(s)-len(u.name):], u.name) {
			number, unit = strings.TrimSpace(s[:len(s)-len(u.name)]), u.n
			break
		}
	}
	if n, err := strconv.ParseInt(number, 10, 64); err == nil && n >= 0 && n <= math.MaxInt64/unit {
		return n * unit, nil
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || !(f >= 0) || f*float64(unit) >= math.MaxInt64 || unit == 1 || strings.ContainsAny(number, "eExXpP_") {
		return 0, wrong
	}
	return int64(f * float64(unit)), nil
}

// Address is host:port, or Off.
type Address string

// UnmarshalText refuses what is no address, and suggests one for a port alone.
func (a *Address) UnmarshalText(text []byte) error {
	s := string(text)
	_, port, err := net.SplitHostPort(s)
	if _, perr := strconv.ParseUint(port, 10, 16); s == Off || err == nil && perr == nil {
		*a = Address(s)
		return nil
	}
	if _, err := strconv.ParseUint(s, 10, 16); err == nil {
		return fmt.Errorf("want host:port, or off (did you mean 127.0.0.1:%s?)", s)
	}
	return errors.New("want host:port, or off")
}

// Off is the address of a listener that is not to be opened.
const Off = "off"

// IsLoopback says whether only this machine can reach an address. A name other
// than localhost may point anywhere.
func IsLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// HTTPURL is the URL of a server.
type HTTPURL string

// UnmarshalText refuses what is none, and one with more in it than a server's place.
func (u *HTTPURL) UnmarshalText(text []byte) error {
	p, err := url.Parse(string(text))
	switch {
	case err != nil || p.Host == "" || p.Scheme != "http" && p.Scheme != "https":
		err = errors.New("want a URL such as https://host[:port]")
	case p.User != nil:
		err = errors.New("want a URL without a user name: credentials are set elsewhere")
	case p.RawQuery != "" || p.Fragment != "":
		err = errors.New("want a URL without ? and #")
	}
	return take(u, HTTPURL(text), err)
}

// StorageClass is one of S3, which knows which there are.
type StorageClass string

// UnmarshalText takes capital letters and "_".
func (c *StorageClass) UnmarshalText(text []byte) (err error) {
	if len(text) == 0 || strings.Trim(string(text), "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") != "" {
		err = errors.New("want a storage class as S3 spells it, such as STANDARD_IA")
	}
	return take(c, StorageClass(text), err)
}

// ARN names a role of AWS, which knows which there are.
type ARN string

// UnmarshalText takes what begins as one.
func (a *ARN) UnmarshalText(text []byte) (err error) {
	if !strings.HasPrefix(string(text), "arn:") {
		err = errors.New("want the ARN of a role, such as arn:aws:iam::123456789012:role/name")
	}
	return take(a, ARN(text), err)
}

// LogName is the name of a log.
type LogName string

// UnmarshalText refuses what proof.CheckName refuses.
func (n *LogName) UnmarshalText(text []byte) (err error) {
	if proof.CheckName(string(text)) != nil {
		err = errors.New("want up to 200 letters, digits, '.', '_' and '-'")
	}
	return take(n, LogName(text), err)
}
