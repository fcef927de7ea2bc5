package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Sender is what the operator calls whoever has a credential. Both may be empty.
type Sender struct {
	Name string // stands in the records' source, in status and metrics
	Team string // whom it belongs to
}

// S3Key is an access key that senders sign with.
type S3Key struct {
	ID     string
	Secret Secret
	Sender
}

// Token is a bearer token that senders show.
type Token struct {
	Secret Secret
	Sender
}

// keysValue is the access keys of the S3 door: "id:secret,..." as one text; in
// YAML also a list of "id:secret", a list of {id, secret, name, team}, or a mapping of ids
// to secrets or to {secret, name, team}.
type keysValue struct{ p *[]S3Key }

func (v keysValue) String() string {
	pairs := make([]string, len(*v.p))
	for i, k := range *v.p {
		pairs[i] = k.ID + ":" + k.Secret.Reveal()
	}
	return strings.Join(pairs, ",")
}

// masked is keysValue's text with the secrets hidden, and ids and names kept.
func (v keysValue) masked() string {
	pairs := make([]string, len(*v.p))
	for i, k := range *v.p {
		pairs[i] = k.ID + ":" + mask + k.label()
	}
	return strings.Join(pairs, ",")
}

func (v keysValue) set(s string) error {
	var items []item
	for part := range strings.SplitSeq(s, ",") {
		items = append(items, item{path: []string{""}, index: len(items), text: strings.TrimSpace(part)})
	}
	return v.setItems(items)
}

func (v keysValue) setItems(items []item) error {
	var keys []S3Key
	for _, entry := range entriesOf(items) {
		k := S3Key{ID: entry.name}
		var err error
		switch {
		case entry.fields != nil:
			err = setFields(entry.fields, k.Sender.fields(map[string]*string{"id": &k.ID, "secret": (*string)(&k.Secret)}))
		case entry.name != "": // id: secret
			k.Secret = Secret(entry.text)
		default: // "id:secret"
			id, secret, _ := strings.Cut(entry.text, ":")
			k.ID, k.Secret = id, Secret(secret)
		}
		if err == nil && (k.ID == "" || k.Secret == "") {
			err = errors.New("want id:secret pairs, or {id, secret, name, team}")
		}
		if err == nil {
			err = k.Sender.check(k.Secret)
		}
		if err != nil {
			return err
		}
		if slices.ContainsFunc(keys, func(o S3Key) bool { return o.ID == k.ID }) {
			return fmt.Errorf("the id %q is there twice", k.ID)
		}
		keys = append(keys, k)
	}
	*v.p = keys
	return nil
}

// tokensValue is the tokens of a door: "token,..." as one text; in YAML also a list of
// tokens or of {token, name, team}.
type tokensValue struct{ p *[]Token }

func (v tokensValue) String() string {
	list := make([]string, len(*v.p))
	for i, t := range *v.p {
		list[i] = t.Secret.Reveal()
	}
	return strings.Join(list, ",")
}

// masked is tokensValue's text with the tokens hidden, and the names kept.
func (v tokensValue) masked() string {
	list := make([]string, len(*v.p))
	for i, t := range *v.p {
		list[i] = mask + t.label()
	}
	return strings.Join(list, ",")
}

func (v tokensValue) set(s string) error {
	var tokens []Token
	for part := range strings.SplitSeq(s, ",") {
		t := Token{Secret: Secret(strings.TrimSpace(part))}
		if t.Secret == "" {
			return errors.New("want tokens separated by commas, none of them empty")
		}
		tokens = append(tokens, t)
	}
	*v.p = tokens
	return nil
}

func (v tokensValue) setItems(items []item) error {
	var tokens []Token
	for _, entry := range entriesOf(items) {
		t := Token{Secret: Secret(entry.text)}
		var err error
		if entry.fields != nil {
			err = setFields(entry.fields, t.Sender.fields(map[string]*string{"token": (*string)(&t.Secret)}))
		}
		if err == nil && (t.Secret == "" || entry.name != "") {
			err = errors.New("want a list of tokens, or of {token, name, team}")
		}
		if err == nil {
			err = t.Sender.check(t.Secret)
		}
		if err != nil {
			return err
		}
		tokens = append(tokens, t)
	}
	*v.p = tokens
	return nil
}

// entry is one element of a list, or one name of a mapping.
type entry struct {
	name   string            // in a mapping
	text   string            // where it is one text
	fields map[string]string // where it is a mapping itself; else nil
}

// entriesOf brings the items of each element together.
func entriesOf(items []item) []entry {
	var list []entry
	for i, it := range items {
		if len(it.path) == 0 {
			list = append(list, entry{text: it.text})
			continue
		}
		e := entry{name: it.path[0], text: it.text}
		if len(it.path) == 1 {
			list = append(list, e)
			continue
		}
		same := i > 0 && len(items[i-1].path) == 2 && items[i-1].index == it.index && items[i-1].path[0] == it.path[0]
		if !same {
			list = append(list, entry{name: it.path[0], fields: map[string]string{}})
		}
		list[len(list)-1].fields[it.path[1]] = it.text
	}
	return list
}

// fields are the fields of a credential: those of its sender, and more.
func (s *Sender) fields(more map[string]*string) map[string]*string {
	more["name"], more["team"] = &s.Name, &s.Team
	return more
}

// check says what is wrong with a name or a team. They are shown, and a secret is not to be.
func (s Sender) check(secret Secret) error {
	for what, text := range map[string]string{"name": s.Name, "team": s.Team} {
		if len(text) > 64 || strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@-") != "" {
			return fmt.Errorf("%s: want up to 64 letters, digits, '.', '_', '@' and '-'", what)
		}
		if text != "" && text == secret.Reveal() {
			return fmt.Errorf("%s is the secret itself, and would be shown", what)
		}
	}
	if s.Team != "" && s.Name == "" {
		return errors.New("team needs a name beside it")
	}
	return nil
}

// label is what `config print` shows of a sender.
func (s Sender) label() string {
	switch {
	case s.Name == "":
		return ""
	case s.Team == "":
		return " (" + s.Name + ")"
	}
	return " (" + s.Team + "/" + s.Name + ")"
}

// setFields sets what a mapping gives. Its error repeats nothing of it: a name may be a secret in the wrong place.
func setFields(given map[string]string, known map[string]*string) error {
	for name, text := range given {
		p := known[name]
		if p == nil {
			names := slices.Sorted(maps.Keys(known))
			if near := Suggest(name, names); near != "" {
				return fmt.Errorf("a field is unknown (did you mean %q?)", near)
			}
			return errors.New("a field is unknown; known are " + strings.Join(names, ", "))
		}
		*p = text
	}
	return nil
}
