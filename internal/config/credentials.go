package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Sender is what the operator calls whoever has a credential. Both may be empty.
type Sender struct {
	Name string `yaml:"name" empty:"ok"` // stands in the records' source, in status and metrics
	Team string `yaml:"team" empty:"ok"` // whom it belongs to
}

// S3Key is an access key that senders sign with.
type S3Key struct {
	ID     string `yaml:"id"`
	Secret Secret `yaml:"secret"`
	Sender
}

// Token is a bearer token that senders show.
type Token struct {
	Secret Secret `yaml:"token"`
	Sender
}

// S3Keys are the access keys of the S3 door: "id:secret,..." as one text; in the file also a list of "id:secret" or
// {id, secret, name, team}, or a mapping of ids to secrets or to {secret, name, team}.
type S3Keys []S3Key

// MarshalText shows ids and names, and masks the secrets.
func (k S3Keys) MarshalText() ([]byte, error) {
	list := make([]string, len(k))
	for i, key := range k {
		list[i] = key.ID + ":" + key.Secret.String() + key.label()
	}
	return []byte(strings.Join(list, ",")), nil
}

// UnmarshalText reads "id:secret,...".
func (k *S3Keys) UnmarshalText(text []byte) error { return k.UnmarshalYAML(list(trimmed(text))) }

// UnmarshalYAML reads a list or a mapping.
func (k *S3Keys) UnmarshalYAML(n *yaml.Node) error {
	var keys S3Keys
	for e := range elements(n) {
		key := S3Key{ID: e.name}
		switch {
		case e.value.Kind != yaml.ScalarNode:
			if err := readFields(e.value, &key); err != nil {
				return err
			}
		case e.name != "":
			key.Secret = NewSecret(e.value.Value)
		default:
			id, secret, _ := strings.Cut(e.value.Value, ":")
			key.ID, key.Secret = id, NewSecret(secret)
		}
		err := key.check(key.Secret)
		switch {
		case key.ID == "" || !key.Secret.IsSet():
			err = errors.New("want id:secret pairs, or {id, secret, name, team}")
		case slices.ContainsFunc(keys, func(o S3Key) bool { return o.ID == key.ID }):
			err = fmt.Errorf("the id %q is there twice", key.ID)
		}
		if err != nil {
			return &nodeError{e.key, err}
		}
		keys = append(keys, key)
	}
	*k = keys
	return nil
}

// Tokens are the tokens of a door: "token,..." as one text; in the file also a list of tokens or of {token, name, team}.
type Tokens []Token

// MarshalText shows names, and masks the tokens.
func (t Tokens) MarshalText() ([]byte, error) {
	list := make([]string, len(t))
	for i, token := range t {
		list[i] = token.Secret.String() + token.label()
	}
	return []byte(strings.Join(list, ",")), nil
}

// UnmarshalText reads "token,...".
func (t *Tokens) UnmarshalText(text []byte) error {
	var tokens Tokens
	for _, secret := range trimmed(text) {
		if secret == "" {
			return errors.New("want tokens separated by commas, none of them empty")
		}
		tokens = append(tokens, Token{Secret: NewSecret(secret)})
	}
	*t = tokens
	return nil
}

// UnmarshalYAML reads a list.
func (t *Tokens) UnmarshalYAML(n *yaml.Node) error {
	var tokens Tokens
	for e := range elements(n) {
		token := Token{Secret: NewSecret(e.value.Value)}
		if e.value.Kind != yaml.ScalarNode {
			if err := readFields(e.value, &token); err != nil {
				return err
			}
		}
		err := token.check(token.Secret)
		if !token.Secret.IsSet() || n.Kind != yaml.SequenceNode {
			err = errors.New("want a list of tokens, or of {token, name, team}")
		}
		if err != nil {
			return &nodeError{e.value, err}
		}
		tokens = append(tokens, token)
	}
	*t = tokens
	return nil
}

// check says what is wrong with a name or a team. They are shown, and a secret is not to be.
func (s Sender) check(secret Secret) error {
	for _, f := range fieldsOf(&s) {
		text := f.text()
		if len(text) > 64 || strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@-") != "" {
			return fmt.Errorf("%s: want up to 64 letters, digits, '.', '_', '@' and '-'", f.Path)
		}
		if text != "" && text == secret.Reveal() {
			return fmt.Errorf("%s is the secret itself, and would be shown", f.Path)
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
