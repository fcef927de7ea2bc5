package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// upstreamsValue is the upstreams of the proxy: in YAML a mapping of names to URLs or to
// {url, provider, key_file, key_header, sign, region, service, profile}; as one text, "name=url,...".
type upstreamsValue struct{ p *[]Upstream }

func (v upstreamsValue) String() string {
	var pairs []string
	for _, u := range *v.p {
		pairs = append(pairs, u.Name+"="+u.URL)
	}
	return strings.Join(pairs, ",")
}

func (v upstreamsValue) set(s string) error {
	var items []item
	for part := range strings.SplitSeq(s, ",") {
		name, text, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok {
			return errors.New("want a mapping of names to URLs")
		}
		items = append(items, item{path: []string{name}, text: text})
	}
	return v.setItems(items)
}

func (v upstreamsValue) setItems(items []item) error {
	byName := map[string]*Upstream{}
	for _, it := range items {
		name := it.path[0]
		if wrong := wrongUpstreamName(name); wrong != "" {
			return fmt.Errorf("upstream %q: %s", name, wrong)
		}
		u := byName[name]
		if u == nil {
			u = &Upstream{Name: name}
			byName[name] = u
		}
		what := "url"
		if len(it.path) == 2 {
			what = it.path[1]
		}
		if err := u.set(what, it.text); err != nil {
			return fmt.Errorf("upstream %s: %w", name, err)
		}
	}
	var list []Upstream
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		u := byName[name]
		if i := slices.IndexFunc(BuiltinUpstreams(), func(b Upstream) bool { return b.Name == name }); i >= 0 {
			b := BuiltinUpstreams()[i]
			if u.URL == "" {
				u.URL = b.URL
			}
			if u.Provider == "" {
				u.Provider = b.Provider
			}
		}
		if wrong := u.wrong(); wrong != "" {
			return fmt.Errorf("upstream %s: %s", name, wrong)
		}
		list = append(list, *u)
	}
	*v.p = list
	return nil
}

// set sets one field of an upstream.
func (u *Upstream) set(what, text string) error {
	fields := map[string]*string{
		"url": &u.URL, "provider": &u.Provider, "key_file": &u.KeyFile, "key_header": &u.Header,
		"sign": &u.Sign, "region": &u.Region, "service": &u.Service, "profile": &u.Profile,
	}
	p := fields[what]
	if p == nil {
		known := slices.Sorted(maps.Keys(fields))
		if near := Suggest(what, known); near != "" {
			return fmt.Errorf("unknown field %q (did you mean %q?)", what, near)
		}
		return fmt.Errorf("unknown field %q; known are %s", what, strings.Join(known, ", "))
	}
	if wrong := notEmpty(text); wrong != "" {
		return fmt.Errorf("%s: %s", what, wrong)
	}
	if what == "url" {
		if wrong := wrongURL(text); wrong != "" {
			return fmt.Errorf("url: %s", wrong)
		}
	}
	if what == "sign" && text != "aws" {
		return fmt.Errorf("sign: want aws, not %q", text)
	}
	*p = text
	return nil
}

// wrong says what the fields of an upstream must hold together.
func (u *Upstream) wrong() string {
	switch {
	case u.URL == "":
		return "want its url, such as https://host"
	case u.Sign != "" && u.KeyFile != "":
		return "key_file and sign both say with which credential it is called: remove one of them"
	case u.Sign == "" && u.Region+u.Service+u.Profile != "":
		return "region, service and profile are those of a signature: set sign: aws, too"
	}
	return ""
}

func wrongUpstreamName(s string) string {
	if s == "" || len(s) > 64 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
		return "want a name of up to 64 letters, digits, '_' and '-'"
	}
	return ""
}
