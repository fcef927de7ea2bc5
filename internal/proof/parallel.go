package proof

import (
	"context"
	"iter"

	"golang.org/x/sync/errgroup"
)

// inParallel calls do for each item, n at once at most, and returns the first error; the
// other calls' context ends then.
func inParallel[T any](ctx context.Context, n int, items iter.Seq[T], do func(context.Context, T) error) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(n)
	for item := range items {
		if gctx.Err() != nil {
			break
		}
		g.Go(func() error { return do(gctx, item) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}
