package config

import (
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// listValue is a list of texts; as one text, they are separated by commas.
type listValue struct{ p *[]string }

func (v listValue) String() string { return strings.Join(*v.p, ",") }

func (v listValue) set(s string) error {
	var list []string
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			return errors.New("want texts separated by commas, none of them empty")
		}
		list = append(list, part)
	}
	*v.p = list
	return nil
}

func (v listValue) setItems(items []item) error {
	var list []string
	for _, it := range items {
		if len(it.path) != 1 || it.path[0] != "" || it.text == "" {
			return errors.New("want a list of texts, none of them empty")
		}
		list = append(list, it.text)
	}
	*v.p = list
	return nil
}

// tagsValue is a mapping of texts; as one text, "name=value,...".
type tagsValue struct{ p *map[string]string }

func (v tagsValue) String() string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(*v.p)) {
		pairs = append(pairs, name+"="+(*v.p)[name])
	}
	return strings.Join(pairs, ",")
}

func (v tagsValue) set(s string) error {
	var items []item
	for part := range strings.SplitSeq(s, ",") {
		name, text, ok := strings.Cut(part, "=")
		if !ok {
			return errors.New("want a mapping of names to texts")
		}
		items = append(items, item{path: []string{name}, text: text})
	}
	return v.setItems(items)
}

func (v tagsValue) setItems(items []item) error {
	tags := map[string]string{}
	for _, it := range items {
		if len(it.path) != 1 || it.path[0] == "" {
			return errors.New("want a mapping of names to texts")
		}
		tags[it.path[0]] = it.text
	}
	if len(tags) > 10 {
		return errors.New("want at most 10 tags: S3 takes no more")
	}
	*v.p = tags
	return nil
}

// wrongURL says what is wrong with an http(s) URL, or "".
func wrongURL(s string) string {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return "want a URL such as https://host[:port]"
	case u.User != nil:
		return "want a URL without a user name: credentials are set elsewhere"
	case u.RawQuery != "" || u.Fragment != "":
		return "want a URL without ? and #"
	}
	return ""
}
