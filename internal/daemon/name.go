package daemon

import (
	"indelible/internal/disk"
	"indelible/internal/proof"
)

// logName is proof.KeepName's, with a word for whoever configured another name.
func logName(data disk.FS, wanted string) (string, error) {
	name, err := proof.KeepName(data, wanted)
	return name, nameMistake(err)
}
