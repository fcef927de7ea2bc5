// Package daemon puts doors and listeners in front of an engine, starts and
// stops them in order, and shows what they do as metrics, logs and a JSON API. It
// alone knows Prometheus.
package daemon
