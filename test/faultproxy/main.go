// Command faultproxy stands in front of an S3 server and goes wrong by rule:
//
//	go run ./test/faultproxy --target http://127.0.0.1:7070 --seed 1 \
//	    --rule slowdown:percent=20,until=30s --rule refused:from=10s,until=15s
//
// It prints its address, and at its end (SIGINT, SIGTERM) what it injected, as JSON lines on stdout.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"indelible/internal/store/faultproxy"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "faultproxy:", err)
		os.Exit(1)
	}
}

func run() error {
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on")
	target := flag.String("target", "", "URL of the S3 server")
	seed := flag.Uint64("seed", 1, "of the dice that percent= throws")
	var rules []faultproxy.Rule
	flag.Func("rule", fmt.Sprintf("fault[:percent=,count=,skip=,from=,until=,delay=,rate=,method=], repeatable; faults: %v", faultproxy.Faults()), func(s string) error {
		r, err := faultproxy.ParseRule(s)
		rules = append(rules, r)
		return err
	})
	flag.Parse()
	u, err := url.Parse(*target)
	if err != nil || u.Host == "" {
		return fmt.Errorf("--target %q is no URL", *target)
	}
	p := faultproxy.New(u, *seed, rules...)
	s, err := faultproxy.Listen(*listen, p)
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	out.Encode(map[string]string{"listen": s.Addr})
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err = s.Run(ctx, rules...)
	out.Encode(map[string]any{"injected": p.Injected(), "requests": p.Requests()})
	return err
}
