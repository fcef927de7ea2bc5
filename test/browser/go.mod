// Module browser is the dashboard's test in a real browser, apart from the
// product's own dependencies.
module indelible/test/browser

go 1.26.0

require (
	github.com/chromedp/cdproto v0.160.1
	github.com/chromedp/chromedp v0.23.1
	golang.org/x/mod v0.43.0
	indelible v0.0.0
)

require (
	filippo.io/mldsa v1.0.0 // indirect
	github.com/go-json-experiment/json v0.0.0-20260213210345-44df1a37e875 // indirect
	golang.org/x/sync v0.25.0 // indirect
)

replace indelible => ../..
