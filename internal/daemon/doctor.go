package daemon

import (
	"context"

	"indelible/internal/config"
	"indelible/internal/doctor"
	"indelible/internal/engine"
	"indelible/internal/store/s3"
)

// Doctor examines what serve stands on with this configuration.
func Doctor(ctx context.Context, l *config.Loaded, report func(doctor.Check)) {
	doctor.Run(ctx, l, doctor.Parts{
		Log: func() (remedy string, err error) {
			o, err := engineOptions(l, nil)
			if err != nil {
				return "mend the configuration", err
			}
			return o.Rescue, engine.Inspect(o)
		},
		Bucket: func(ctx context.Context, found func(s3.Finding)) error {
			d, err := openDestination(ctx, &l.Config, "", true)
			if err != nil {
				return err
			}
			defer func() { _ = d.Close() }()
			d.check(ctx, d.Layout.Base()+doctor.ProbeObject, found)
			return nil
		},
	}, report)
}
