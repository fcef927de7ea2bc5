//go:build race

package torture

// race says that the race detector is on.
const race = true
