package daemon

import (
	"indelible/internal/config"
	"indelible/internal/engine"
)

// checkLog tells what the data directory knows to be wrong with its log.
func checkLog(l *config.Loaded) Check {
	const name = "log"
	o, err := engineOptions(l, nil)
	if err != nil {
		return failed(name, "mend the configuration", "%v", err)
	}
	if err := engine.Inspect(o); err != nil {
		return failed(name, o.Rescue, "%v", err)
	}
	return good(name, "nothing is known to be wrong; \"indelible verify\" checks it against the destination")
}
