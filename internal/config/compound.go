package config

import (
	"errors"
	"fmt"
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

// keysValue is the access keys of the S3 door: "id:secret,..." as one text; in
// YAML also a list of "id:secret", a list of {id, secret}, or a mapping of ids
// to secrets.
type keysValue struct{ p *[]S3Key }

var errKeys = errors.New("want id:secret pairs")

func (v keysValue) String() string {
	pairs := make([]string, len(*v.p))
	for i, k := range *v.p {
		pairs[i] = k.ID + ":" + k.Secret
	}
	return strings.Join(pairs, ",")
}

func (v keysValue) set(s string) error {
	var items []item
	for part := range strings.SplitSeq(s, ",") {
		items = append(items, item{path: []string{""}, text: strings.TrimSpace(part)})
	}
	return v.setItems(items)
}

func (v keysValue) setItems(items []item) error {
	var keys []S3Key
	for i := 0; i < len(items); i++ {
		it := items[i]
		var k S3Key
		switch {
		case len(it.path) == 1 && it.path[0] == "": // "id:secret"
			k.ID, k.Secret, _ = strings.Cut(it.text, ":")
		case len(it.path) == 1: // id: secret
			k = S3Key{ID: it.path[0], Secret: it.text}
		case len(it.path) == 2 && i+1 < len(items) && items[i+1].index == it.index: // - {id: …, secret: …}
			pair := map[string]string{it.path[1]: it.text, items[i+1].path[1]: items[i+1].text}
			k = S3Key{ID: pair["id"], Secret: pair["secret"]}
			i++
		}
		if k.ID == "" || k.Secret == "" {
			return errKeys
		}
		if slices.ContainsFunc(keys, func(o S3Key) bool { return o.ID == k.ID }) {
			return fmt.Errorf("the id %q is there twice", k.ID)
		}
		keys = append(keys, k)
	}
	*v.p = keys
	return nil
}

// masked is keysValue's text with the secrets hidden and the ids kept.
func (v keysValue) masked() string {
	pairs := make([]string, len(*v.p))
	for i, k := range *v.p {
		pairs[i] = k.ID + ":" + mask
	}
	return strings.Join(pairs, ",")
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
