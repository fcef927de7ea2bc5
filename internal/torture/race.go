//go:build race

package torture

// Race says that the race detector is on. It makes a test that goes through every call or byte five to
// ten times as long, and finds no more in the last of them than in the first: such a test takes longer
// steps, and a run without the detector goes through all.
const Race = true
