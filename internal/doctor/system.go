package doctor

// durability is what a kind of file system promises.
type durability int

const (
	lasting  durability = iota // a disk, as far as we know
	volatile                   // memory
	layered                    // a container's own layer
	remote                     // another machine or program answers for it
)

// Limits are what a file system is short of besides bytes.
type Limits struct {
	ReadOnly, NoInodes bool
	Inodes, FreeInodes uint64 // 0 of all: the file system has no table of them, or nobody tells
}
