package faultproxy

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Rule says when a fault shows. The zero values mean: every PUT, always.
type Rule struct {
	Fault   Fault
	Methods []string      // which requests; none: PUT; "*": all
	Skip    int           // leave the first so many of them alone
	Count   int           // show so many times at most; 0: no bound
	Percent float64       // of them, by the proxy's seed; 0: all
	From    time.Duration // since New
	Until   time.Duration // since New; 0: no end

	Delay time.Duration // of SlowAnswer; 0: 1 s
	Rate  int           // bytes a second of SlowBandwidth; 0: 64 KiB
}

// ParseRule reads "fault" or "fault:name=value,...", with the names percent,
// count, skip, from, until, delay, rate, and method (PUT, GET+HEAD, *).
func ParseRule(s string) (Rule, error) {
	name, rest, _ := strings.Cut(s, ":")
	r := Rule{Fault: Fault(name)}
	if !slices.Contains(Faults(), r.Fault) {
		return Rule{}, fmt.Errorf("parse rule %q: no fault %q; there are %v", s, name, Faults())
	}
	if rest == "" {
		return r, nil
	}
	for field := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(field, "=")
		var err error
		switch name {
		case "percent":
			r.Percent, err = strconv.ParseFloat(value, 64)
		case "count":
			r.Count, err = strconv.Atoi(value)
		case "skip":
			r.Skip, err = strconv.Atoi(value)
		case "rate":
			r.Rate, err = strconv.Atoi(value)
		case "from":
			r.From, err = time.ParseDuration(value)
		case "until":
			r.Until, err = time.ParseDuration(value)
		case "delay":
			r.Delay, err = time.ParseDuration(value)
		case "method":
			r.Methods = strings.Split(value, "+")
		default:
			err = fmt.Errorf("no field %q", name)
		}
		if err != nil {
			return Rule{}, fmt.Errorf("parse rule %q: %w", s, err)
		}
	}
	return r, nil
}

func (r Rule) during(since time.Duration) bool {
	return since >= r.From && (r.Until == 0 || since < r.Until)
}

func (r Rule) about(method string) bool {
	if len(r.Methods) == 0 {
		return method == http.MethodPut
	}
	return slices.Contains(r.Methods, method) || slices.Contains(r.Methods, "*")
}
