package engine

import (
	"context"
	"errors"
	"fmt"

	"indelible/internal/proof"
)

// Recorded says whether a record was acknowledged under this key of no bucket: the spool has it, or, with anywhere, the signed log
// does. What the destination has under the key only says where to look in the log: whoever can write there must not be able to
// pretend that something was recorded. A log that is not open yet, as right after a start, is waited for until ctx ends. Where no signed log
// is kept, the spool alone decides.
func (e *Engine) Recorded(ctx context.Context, key string, anywhere bool) (bool, error) {
	if _, found, err := e.spool.Lookup(ctx, "", key); found || err != nil || !anywhere || e.ledger == nil {
		return found, err
	}
	hint, found, err := e.records.Find(ctx, "", key)
	if err != nil || !found || hint.Seq == 0 {
		return false, err
	}
	log, err := e.ledger.opened(ctx)
	if err != nil {
		return false, fmt.Errorf("look for %s in the log: %w", key, err)
	}
	p, err := proof.Prove(ctx, e.dest.Store, e.dest.Layout.Base(), log.Public(), PackReader{}, hint.Seq)
	if errors.Is(err, proof.ErrUnproven) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for %s in the log: %w", key, err)
	}
	leaf, _, err := p.Check(log.Public(), nil)
	if err != nil {
		return false, fmt.Errorf("look for %s in the log: %w", key, err)
	}
	return leaf.Seq == hint.Seq && leaf.Bucket == "" && e.isUnder(key, &leaf), nil
}

// isUnder says whether a leaf is that of a record with this key of no bucket: its object has the key's name or that of a variant, or it is
// a row of a pack.
func (e *Engine) isUnder(key string, leaf *proof.Leaf) bool {
	if leaf.Kind == proof.Row {
		return leaf.SentKey == key
	}
	own := e.dest.Layout.Key("", key)
	_, variant := e.dest.Layout.IsVariant(own, leaf.Key)
	return leaf.Key == own || variant
}
