// Package query reads records wherever they are: in the store, or still on
// their way to it.
package query
