package proof

import (
	"context"
	"fmt"

	"indelible/internal/record"
)

// Leaf is the leaf that gives seq its place in the published tree; false if the
// tree does not have it. It reads a few objects of the store.
func (l *Log) Leaf(ctx context.Context, seq record.Seq) (Leaf, bool, error) {
	l.mu.Lock()
	size := l.state.edge.size
	l.mu.Unlock()
	f := finder{reader: l.reader, size: size}
	p, ok, err := f.find(ctx, seq)
	if err != nil {
		return Leaf{}, false, fmt.Errorf("find record %d in log %s: %w", seq, l.name, err)
	}
	return p.leaf, ok, nil
}
