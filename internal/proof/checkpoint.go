package proof

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// Checkpoint is what a checkpoint states: the log's name, the size of its tree, and the root hash.
type Checkpoint struct {
	Log  string
	Size uint64
	Root tlog.Hash
}

// text is the checkpoint as tlog-checkpoint has it, before it is signed.
func (h Checkpoint) text() string {
	return h.Log + "\n" + strconv.FormatUint(h.Size, 10) + "\n" + base64.StdEncoding.EncodeToString(h.Root[:]) + "\n"
}

// sign makes the checkpoint.
func (h Checkpoint) sign(ctx context.Context, keys ...Key) ([]byte, error) {
	text := h.text()
	b := []byte(text + "\n")
	for _, k := range keys {
		lines, err := k.signatureLines(ctx, text)
		if err != nil {
			return nil, fmt.Errorf("sign checkpoint of log %s: %w", h.Log, err)
		}
		b = append(b, lines...)
	}
	return b, nil
}

// ParseCheckpoint reads a checkpoint without looking at its signatures.
func ParseCheckpoint(checkpoint []byte) (Checkpoint, error) {
	text, _, ok := strings.Cut(string(checkpoint), "\n\n")
	if !ok {
		return Checkpoint{}, errors.New("parse checkpoint: no empty line before the signatures")
	}
	return parseCheckpointText(text + "\n")
}

func parseCheckpointText(text string) (Checkpoint, error) {
	lines := strings.SplitN(text, "\n", 4) // extension lines may follow
	if len(lines) < 4 || lines[0] == "" {
		return Checkpoint{}, errors.New("parse checkpoint: want the log's name, its size and its root on a line each")
	}
	size, err := strconv.ParseUint(lines[1], 10, 63)
	if err != nil || strconv.FormatUint(size, 10) != lines[1] {
		return Checkpoint{}, fmt.Errorf("parse checkpoint: %q is an invalid tree size", lines[1])
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return Checkpoint{}, fmt.Errorf("parse checkpoint: %q is an invalid root hash", lines[2])
	}
	h := Checkpoint{Log: lines[0], Size: size}
	copy(h.Root[:], root)
	return h, nil
}

// openCheckpoint reads a checkpoint that at least one of the keys has signed.
func openCheckpoint(checkpoint []byte, name string, keys ...publicKey) (Checkpoint, error) {
	var text string
	err := errors.New("there is no key to trust")
	for _, k := range keys {
		if text, err = k.open(checkpoint); err == nil {
			break
		}
	}
	if err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w", err)
	}
	h, err := parseCheckpointText(text)
	if err != nil {
		return Checkpoint{}, err
	}
	if h.Log != name {
		return Checkpoint{}, fmt.Errorf("checkpoint is that of log %s, not %s", h.Log, name)
	}
	return h, nil
}
