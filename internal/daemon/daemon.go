// Package daemon puts doors and listeners in front of an engine, and starts and
// stops them in order.
package daemon
