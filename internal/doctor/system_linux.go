package doctor

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// fileSystem names the kind of file system that dir lies on.
func fileSystem(dir string) (kind string, d durability) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return "", lasting
	}
	switch uint32(s.Type) {
	case unix.TMPFS_MAGIC:
		return "tmpfs", volatile
	case unix.RAMFS_MAGIC:
		return "ramfs", volatile
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlayfs", layered
	case unix.NFS_SUPER_MAGIC:
		return "NFS", remote
	case unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC:
		return "SMB", remote
	case unix.V9FS_MAGIC:
		return "9p", remote
	case unix.CEPH_SUPER_MAGIC:
		return "CephFS", remote
	case unix.FUSE_SUPER_MAGIC:
		return "FUSE", remote
	case unix.EXT4_SUPER_MAGIC:
		return "ext4", lasting
	case unix.XFS_SUPER_MAGIC:
		return "XFS", lasting
	case unix.BTRFS_SUPER_MAGIC:
		return "Btrfs", lasting
	case 0x2fc12fc1:
		return "ZFS", lasting
	}
	return fmt.Sprintf("file system %#x", uint32(s.Type)), lasting
}

// LimitsOf says what the file system of dir is short of.
func LimitsOf(dir string) Limits {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return Limits{}
	}
	// A file system without a table of inodes has 0 of them altogether.
	return Limits{ReadOnly: s.Flags&unix.ST_RDONLY != 0, NoInodes: s.Files > 0 && s.Ffree == 0, Inodes: s.Files, FreeInodes: s.Ffree}
}

// staUnsync is STA_UNSYNC of adjtimex(2).
const staUnsync = 0x40

// clockSynced says whether something disciplines the clock.
func clockSynced() (synced, known bool) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return false, false
	}
	return state != unix.TIME_ERROR && t.Status&staUnsync == 0, true
}
