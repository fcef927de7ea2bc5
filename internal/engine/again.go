package engine

import (
	"context"
	"errors"
	"fmt"

	"indelible/internal/disk/osdisk"
	"indelible/internal/spool"
)

// deliverOrRescue delivers a rescued spool. If its log can go no further either, the spool is rescued from there, once
// in a call; became are the rescues that hold the records now.
func (o *Options) deliverOrRescue(ctx context.Context, r *Rescued) (became []Rescued, err error) {
	n := o.rescued(r)
	begun, err := n.begun()
	if err != nil {
		return []Rescued{*r}, err
	}
	further, err := rescues(r.Dir)
	if err != nil {
		return []Rescued{*r}, err
	}
	if !begun && len(further) == 0 {
		err := o.deliver(ctx, r)
		reason := final(err)
		if reason == "" {
			return []Rescued{*r}, err
		}
		if err := n.carryOut(reason); err != nil {
			return []Rescued{*r}, errors.Join(err, fmt.Errorf("the records of log %s wait in %s", r.From, r.Dir))
		}
		return o.follow(ctx, r, func(ctx context.Context, f *Rescued) ([]Rescued, error) {
			err := o.deliver(ctx, f)
			return []Rescued{*f}, err
		})
	}
	if begun { // a call before this one was cut short
		if err := n.carryOut(""); err != nil {
			return []Rescued{*r}, err
		}
	}
	return o.follow(ctx, r, o.deliverOrRescue)
}

// follow delivers what was rescued from the directory of a rescue, and notes it there once nothing is left.
func (o *Options) follow(ctx context.Context, r *Rescued, deliver func(context.Context, *Rescued) ([]Rescued, error)) (became []Rescued, err error) {
	further, err := rescues(r.Dir)
	if err != nil {
		return nil, err
	}
	done := true
	var errs []error
	for i := range further {
		f := &further[i]
		if !f.Done {
			held, err := deliver(ctx, f)
			became, errs = append(became, held...), append(errs, err)
		}
		done = done && f.Done
	}
	if done {
		data, err := osdisk.Open(r.Dir)
		if err != nil {
			return became, err
		}
		r.Done = true
		errs = append(errs, r.write(data, keptFile), data.Close())
	}
	return became, errors.Join(errs...)
}

// left is how many records wait in a data directory that cannot be opened to write.
func left(dir string) uint64 {
	c := &Components{}
	defer func() { _ = c.Close() }()
	if err := c.openSpool(dir, spool.Options{ReadOnly: true}); err != nil {
		return 0
	}
	st := c.spool.Stats()
	return st.Pending + st.Quarantined
}
