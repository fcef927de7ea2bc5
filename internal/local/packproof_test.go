package local

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"indelible/internal/config"
	"indelible/internal/recent"
	"indelible/internal/record"
	"indelible/internal/setup"
)

// The dashboard's proof of a record that lies in a pack is that of its row.
func TestProofOfARow(t *testing.T) {
	dir := t.TempDir()
	c := config.Default()
	c.Data, c.Destination.URL, c.Layout = filepath.Join(dir, "data"), config.StoreURL("file://"+filepath.Join(dir, "store")), "pack"
	e, err := setup.Engine(t.Context(), &config.Loaded{Config: c}, nil, setup.Events{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close() // only read
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- e.Run(ctx) }()
	for range 3 {
		if _, err := e.Append(ctx, record.Record{Door: "http", Key: "k" + time.Now().Format(time.RFC3339Nano), Body: strings.NewReader("{}"), Size: 2}); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-ran; err != nil {
		t.Fatal(err)
	}
	v := Views{recent.Of(e), func() (string, error) { return setup.VKey(&c, "") }}
	p, _, err := v.Prove(t.Context(), 2)
	if err != nil || p.Row == nil || !bytes.Contains(p.Row.Raw, []byte(`"seq":2,`)) {
		t.Errorf("%+v, %v", p, err)
	}
}
