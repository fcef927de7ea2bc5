package osdisk

import "os"

// owner is whom files belong to; Windows gives them the owner of their directory by itself.
type owner struct{ uid, gid int }

func ownerOf(os.FileInfo) *owner { return nil }
