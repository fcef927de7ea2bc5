// Package signer signs with a key that a program outside holds: in a KMS, an HSM or on a
// smart card. The program is started for each request, in the manner of an age plugin: it reads one line on
// stdin and writes one line to stdout. docs/signer.md has the protocol.
package signer

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"indelible/internal/proof"
	"indelible/internal/term"
)

const (
	version    = "indelible-signer-v1"
	timeout    = 10 * time.Second
	maxAnswer  = 64 << 10
	maxMessage = 300 // bytes of what the program says to people that are passed on
)

// Command is a program that signs. It is safe for concurrent use.
type Command struct {
	words []string
}

var _ proof.Signer = (*Command)(nil)

// New is the program of a command line: its words, at least one. There is no shell, and the program need not be
// there yet.
func New(words []string) *Command { return &Command{words: words} }

// Public is proof.Signer's.
func (c *Command) Public(ctx context.Context) ([]proof.SignerKey, error) {
	words, err := c.ask(ctx, "public", "public")
	if err != nil {
		return nil, err
	}
	if len(words) == 0 || len(words)%2 != 0 {
		return nil, c.errorf("its answer has no key: want \"public ed25519 BASE64\"")
	}
	var keys []proof.SignerKey
	for i := 0; i < len(words); i += 2 {
		public, err := base64.StdEncoding.DecodeString(words[i+1])
		algorithm := proof.Algorithm(words[i])
		if err != nil || algorithm != proof.Ed25519 && algorithm != proof.MLDSA44 {
			return nil, c.errorf("its answer names no ed25519 or ml-dsa-44 key in base64")
		}
		keys = append(keys, proof.SignerKey{Algorithm: algorithm, Public: public})
	}
	return keys, nil
}

// Sign is proof.Signer's.
func (c *Command) Sign(ctx context.Context, key proof.SignerKey, message []byte) ([]byte, error) {
	b64 := base64.StdEncoding.EncodeToString
	words, err := c.ask(ctx, "signature", "sign", string(key.Algorithm), b64(key.Public), b64(message))
	if err != nil {
		return nil, err
	}
	if len(words) == 1 {
		if sig, err := base64.StdEncoding.DecodeString(words[0]); err == nil {
			return sig, nil
		}
	}
	return nil, c.errorf("its answer has no signature: want \"signature BASE64\"")
}

// ask starts the program with one request, and returns what stands behind the wanted word in its answer.
func (c *Command) ask(ctx context.Context, want string, request ...string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var out, said limited
	cmd := exec.CommandContext(ctx, c.words[0], c.words[1:]...)
	cmd.Stdin = strings.NewReader(version + " " + strings.Join(request, " ") + "\n")
	cmd.Stdout, cmd.Stderr = &out, &said
	cmd.WaitDelay = time.Second // for a child of its own that keeps the pipes open
	killGroup(cmd)
	err := cmd.Run()
	answer := strings.Fields(out.String())
	switch {
	case ctx.Err() != nil:
		return nil, c.errorf("it gave no answer in time: %w%s", context.Cause(ctx), said.quote())
	case len(answer) > 0 && answer[0] == "error":
		return nil, c.errorf("it says: %s", quoted(strings.Join(answer[1:], " ")))
	case errors.Is(err, exec.ErrNotFound) || cmd.Process == nil:
		return nil, c.errorf("it cannot be started: %w", err)
	case err != nil:
		return nil, c.errorf("%w%s", err, said.quote())
	case len(answer) == 0 || answer[0] != want:
		return nil, c.errorf("its answer does not begin with %q%s", want, said.quote())
	}
	return answer[1:], nil
}

func (c *Command) errorf(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return fmt.Errorf("the program of proof.key, %s: %w; try it by hand, with its arguments: echo %s public | %s", c.words[0], err, version, c.words[0])
}

// limited keeps the beginning of what is written to it.
type limited struct{ bytes.Buffer }

// Write is io.Writer's.
func (l *limited) Write(b []byte) (int, error) {
	if room := maxAnswer - l.Len(); room > 0 {
		l.Buffer.Write(b[:min(room, len(b))])
	}
	return len(b), nil
}

func (l *limited) quote() string {
	if s := quoted(strings.TrimSpace(l.String())); s != "" {
		return " (it says: " + s + ")"
	}
	return ""
}

// quoted is text for a person's terminal and log, and not too much of it.
func quoted(s string) string { return term.Quote(s[:min(len(s), maxMessage)]) }
