package doctor

import (
	"context"
	"os"

	"indelible/integrations/litellm"
	"indelible/internal/config"
	"indelible/internal/control"
)

// LiteLLM examines a config.yaml of LiteLLM's: whether it sends its audit log to the doors that
// run, or else to those of this configuration, and what in it loses records.
func LiteLLM(ctx context.Context, l *config.Loaded, file string, report func(Check)) {
	const name = "litellm"
	text, err := os.ReadFile(file)
	if err != nil {
		report(failed(name, "name LiteLLM's config.yaml with --litellm", "%v", err))
		return
	}
	for _, f := range litellm.Check(text, doorsFor(ctx, l), os.LookupEnv) {
		switch {
		case f.OK:
			report(good(name, "%s", f.Found))
		case f.Loses:
			report(failed(name, f.Remedy, "%s", f.Found))
		default:
			report(warning(name, f.Remedy, "%s", f.Found))
		}
	}
}

// doorsFor are the doors of the daemon that runs, or of the configuration.
func doorsFor(ctx context.Context, l *config.Loaded) litellm.Doors {
	running, alive := control.Alive(ctx, l.Config.Data)
	var doors litellm.Doors
	for _, at := range l.Config.Open() {
		addr := at.Addr
		if alive {
			if addr = running.Addr(at.Name); addr == "" {
				continue
			}
		}
		switch at.Name {
		case "s3":
			doors.S3, doors.KeyIDs = &litellm.S3Door{URL: at.URL(addr), Bucket: at.Bucket}, at.KeyIDs
		case "http":
			doors.HTTP = &litellm.HTTPDoor{URL: at.URL(addr), Token: at.Credentials}
		}
	}
	return doors
}
