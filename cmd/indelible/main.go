// Command indelible keeps an audit log of LLM traffic that never loses a
// record, and can prove it. Each command is a file; what they share is in
// root.go.
package main

import (
	"os"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}
