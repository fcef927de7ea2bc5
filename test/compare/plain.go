package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// plainCommand makes this program the application of plainPUT: ADDRESS ENDPOINT BUCKET.
const plainCommand = "plain-put"

// servePlain answers each POST at once and puts its body to S3 afterwards. Asked to end, it
// waits for what is under way.
func servePlain(ctx context.Context, addr, endpoint, bucket string) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer stop()
	settings, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		return err
	}
	client := s3.NewFromConfig(settings, func(o *s3.Options) { o.BaseEndpoint, o.UsePathStyle = aws.String(endpoint), true })
	var puts sync.WaitGroup
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			return
		}
		record, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		puts.Go(func() {
			key := r.URL.Path[1:]
			_, err := client.PutObject(context.Background(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String(key), Body: bytes.NewReader(record)})
			if err != nil {
				fmt.Fprintln(os.Stderr, "given up:", err)
			}
		})
	}
	server := &http.Server{Addr: addr, Handler: http.HandlerFunc(handler)}
	go func() {
		<-ctx.Done()
		_ = server.Shutdown(context.Background()) // without a deadline it has no error that matters
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		return err
	}
	puts.Wait()
	return nil
}
