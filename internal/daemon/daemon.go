// Package daemon runs the house: it reads the configuration, wires the rooms,
// starts and stops them in order, and shows what they do as metrics, logs and
// a JSON API. It alone knows YAML and Prometheus.
package daemon
