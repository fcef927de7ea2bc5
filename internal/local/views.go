package local

import (
	"context"

	"indelible/internal/catalog"
	"indelible/internal/engine"
	"indelible/internal/proof"
	"indelible/internal/recent"
	"indelible/internal/record"
)

// Views are what the dashboard asks for.
type Views struct {
	*recent.Records
	VKey func() (string, error)
}

// Parked is control.Views's.
func (v Views) Parked(ctx context.Context, limit int) ([]catalog.Row, error) {
	var rows []catalog.Row
	for a, err := range v.Records.Engine.Parked(ctx) {
		if err != nil {
			return rows, err
		}
		row := catalog.RowOf(a.Info)
		row.State, row.Reason = a.State, a.Reason
		if rows = append(rows, row); len(rows) == limit {
			break
		}
	}
	return rows, nil
}

// Prove is control.Views's.
func (v Views) Prove(ctx context.Context, seq record.Seq) (*proof.OfflineProof, string, error) {
	vkey, err := v.VKey()
	if err != nil {
		return nil, "", err
	}
	p, err := proof.Prove(ctx, v.Store(), v.Layout().Base(), vkey, engine.PackReader{}, seq)
	return p, vkey, UnprovenYet(err)
}
