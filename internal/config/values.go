package config

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// value is one setting's place in a Config, as text. An error of set says what
// is allowed, and never repeats the text: it may be a secret.
type value interface {
	set(text string) error
	String() string
}

// compound is a value that YAML may also give as a list or a mapping.
type compound interface {
	value
	setItems([]item) error
}

// item is one scalar inside a list or mapping: path leads to it, with "" for
// a list's index (index tells the items apart).
type item struct {
	path  []string
	index int
	text  string
}

type textValue struct {
	p    *string
	pick []string            // what is allowed; nil is anything
	ok   func(string) string // what is wrong with a text, or ""; may be nil
}

func (v textValue) String() string { return *v.p }

func (v textValue) set(s string) error {
	if v.pick != nil && !slices.Contains(v.pick, s) {
		hint := ""
		if near := Suggest(s, v.pick); near != "" {
			hint = fmt.Sprintf(" (did you mean %s?)", near)
		}
		return errors.New("want " + strings.Join(v.pick, ", ") + hint)
	}
	if v.ok != nil {
		if wrong := v.ok(s); wrong != "" {
			return errors.New(wrong)
		}
	}
	*v.p = s
	return nil
}

type boolValue struct{ p *bool }

func (v boolValue) String() string { return strconv.FormatBool(*v.p) }

func (v boolValue) set(s string) error {
	switch s {
	case "true":
		*v.p = true
	case "false":
		*v.p = false
	default:
		return errors.New("want true or false")
	}
	return nil
}

type intValue struct {
	p   *int
	min int
}

func (v intValue) String() string { return strconv.Itoa(*v.p) }

func (v intValue) set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < v.min {
		return fmt.Errorf("want a whole number, %d or more", v.min)
	}
	*v.p = n
	return nil
}

type durationValue struct {
	p   *time.Duration
	min time.Duration
}

// String is "" for an unset duration that may not be zero.
func (v durationValue) String() string {
	if *v.p == 0 && v.min > 0 {
		return ""
	}
	return FormatDuration(*v.p)
}

func (v durationValue) set(s string) error {
	d, err := ParseDuration(s)
	if err != nil {
		return err
	}
	if d < v.min {
		return fmt.Errorf("want at least %s", FormatDuration(v.min))
	}
	*v.p = d
	return nil
}

// percentValue is above 0% and at most 100%.
type percentValue struct{ p *float64 }

func (v percentValue) String() string { return strconv.FormatFloat(*v.p, 'g', -1, 64) + "%" }

func (v percentValue) set(s string) error {
	n, err := ParsePercent(s)
	if err != nil {
		return err
	}
	*v.p = n
	return nil
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

// FormatDuration writes what ParseDuration reads, with whole days as days and
// without zero parts.
func FormatDuration(d time.Duration) string {
	if d >= day && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

type sizeValue struct {
	p   *int64
	min int64
}

func (v sizeValue) String() string { return FormatSize(*v.p) }

func (v sizeValue) set(s string) error {
	n, err := ParseSize(s)
	if err != nil {
		return err
	}
	if n < v.min {
		return fmt.Errorf("want at least %s", FormatSize(v.min))
	}
	*v.p = n
	return nil
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

// FormatSize writes a size exactly, in the largest unit that divides it.
func FormatSize(n int64) string {
	for _, u := range sizeUnits {
		if n >= u.n && n%u.n == 0 && u.n > 1 {
			return strconv.FormatInt(n/u.n, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}

type addrValue struct{ p *string }

func (v addrValue) String() string { return *v.p }

func (v addrValue) set(s string) error {
	if s == Off {
		*v.p = s
		return nil
	}
	_, port, err := net.SplitHostPort(s)
	if n, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil || n > 65535 {
		if _, err := strconv.ParseUint(s, 10, 16); err == nil {
			return fmt.Errorf("want host:port, or off (did you mean 127.0.0.1:%s?)", s)
		}
		return errors.New("want host:port, or off")
	}
	*v.p = s
	return nil
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
