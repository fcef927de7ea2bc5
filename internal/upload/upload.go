// Package upload brings the records of the spool into the store, at the pace
// the store allows, and never gives one up.
package upload
