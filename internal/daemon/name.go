package daemon

import (
	"errors"
	"fmt"

	"indelible/internal/config"
	"indelible/internal/disk"
	"indelible/internal/proof"
)

// logName is proof.KeepName's, with a word for whoever configured another name.
func logName(data disk.FS, wanted string) (string, error) {
	name, err := proof.KeepName(data, wanted)
	if other, ok := errors.AsType[*proof.NameError](err); ok {
		return "", &config.Error{Where: "proof.name", Problem: fmt.Sprintf("this data directory holds the log %q, and a log's name never changes: take proof.name out, or give --data another directory for the log %q", other.Kept, other.Wanted)}
	}
	return name, err
}
