package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"indelible/internal/testserver"
)

// peer is one way of getting records into a bucket, with one setting of it.
type peer struct {
	name, setting string
	version       string
	acked         string // what its 200 says, as its documentation or its code has it
	once          bool   // a sender does not ask again: that would be another call
	rate          int    // records a second during accidents
	onDisk        bool   // it keeps records on a disk
	holds         int    // records that it takes while S3 is away, as it is set; 0: none
	start         func(at place) (*process, error)
	request       func(at place, id, text string) (*http.Request, error)
	records       func(object []byte) ([]string, error)
}

// place is where a peer runs and what it delivers to.
type place struct {
	run      string // of this run alone; part of every id
	dir      string // for its settings and its log
	data     string // for what it keeps
	addr     string // of the door that records are sent to
	admin    string
	endpoint string // of S3, the one that has the accidents
	bucket   string
	s3       *testserver.Server
}

// environ is what a peer's process gets.
func (at place) environ(more ...string) []string {
	return append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + at.dir, "AWS_ACCESS_KEY_ID=" + at.s3.Access, "AWS_SECRET_ACCESS_KEY=" + at.s3.Secret,
		"AWS_REGION=" + at.s3.Region, "AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull}, more...)
}

const accidentRate = 50

// indelible is this tree with its defaults.
func indelible(binary string, flags ...string) *peer {
	return &peer{
		version: "this tree", acked: "fsynced", rate: accidentRate, onDisk: true, holds: 1e6, records: whole,
		start: func(at place) (*process, error) {
			line := append([]string{binary, "serve", "--data", filepath.Join(at.data, "data"), "--to", "s3://" + at.bucket, "--endpoint", at.endpoint,
				"--s3", at.addr, "--http", "off", "--proxy", "off", "--admin", at.admin}, flags...)
			return &process{line: line, env: at.environ(), dir: at.dir, log: filepath.Join(at.dir, "log"), ready: "http://" + at.admin + "/readyz"}, nil
		},
		request: func(at place, id, text string) (*http.Request, error) {
			return http.NewRequest(http.MethodPut, "http://"+at.addr+"/audit/2026-11-30/"+id+".json", strings.NewReader(text))
		},
	}
}

// collectorSetting is one setting of the Collector; the pieces are YAML.
type collectorSetting struct {
	setting, acked string
	holds          int    // sending_queue.queue_size, less the ten that are under way
	uploader       string // more of s3uploader
	exporter       string // more of the exporter
	extensions     string // "": none; DATA is the directory for data
}

// collector is the OpenTelemetry Collector: OTLP over HTTP in, S3 out.
func collector(binary, version string, s collectorSetting) *peer {
	return &peer{
		version: version, acked: s.acked, rate: accidentRate, onDisk: s.extensions != "", holds: s.holds, records: otlp,
		start: func(at place) (*process, error) {
			use := ""
			if s.extensions != "" {
				use = "extensions: [file_storage]"
			}
			config := fmt.Sprintf(`receivers:
  otlp: {protocols: {http: {endpoint: "%s"}}}
exporters:
  awss3:
    s3uploader: {region: %s, s3_bucket: %s, endpoint: "%s", s3_force_path_style: true%s}
%s
%s
service:
  telemetry: {metrics: {level: none}}
  %s
  pipelines:
    logs: {receivers: [otlp], exporters: [awss3]}
`, at.addr, at.s3.Region, at.bucket, at.endpoint, s.uploader, s.exporter, strings.ReplaceAll(s.extensions, "DATA", at.data), use)
			file := filepath.Join(at.dir, "collector.yaml")
			if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
				return nil, err
			}
			return &process{line: []string{binary, "--config", file}, env: at.environ(), dir: at.dir, log: filepath.Join(at.dir, "log"), ready: "http://" + at.addr + "/", anyAnswer: true}, nil
		},
		request: func(at place, _, text string) (*http.Request, error) {
			return protobuf("http://"+at.addr+"/v1/logs", otlpLogs(text, time.Now().UnixNano()))
		},
	}
}

func protobuf(url string, message []byte) (*http.Request, error) {
	req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(message))
	if err == nil {
		req.Header.Set("Content-Type", "application/x-protobuf")
	}
	return req, err
}

// masterKey is what LiteLLM demands of a key; it protects nothing.
const masterKey = "sk-0123456789abcdef0123456789abcdef0123456789abcdef"

// liteLLM is its proxy, which answers the calls itself and logs them by s3_v2.
func liteLLM(python, version, params string, env ...string) *peer {
	return &peer{
		version: version, acked: "the call was answered; its record is in memory", rate: 10, once: true, holds: 1e6, records: ofLiteLLM,
		start: func(at place) (*process, error) {
			config := fmt.Sprintf(`model_list:
  - {model_name: good, litellm_params: {model: openai/fake, api_key: x, mock_response: "an answer of some words"}}
litellm_settings:
  callbacks: ["s3_v2"]
  s3_callback_params: {s3_bucket_name: %s, s3_region_name: %s, s3_endpoint_url: "%s", s3_aws_access_key_id: %s, s3_aws_secret_access_key: %s%s}
`, at.bucket, at.s3.Region, at.endpoint, at.s3.Access, at.s3.Secret, params)
			if err := os.WriteFile(filepath.Join(at.dir, "config.yaml"), []byte(config), 0o600); err != nil {
				return nil, err
			}
			_, port, _ := strings.Cut(at.addr, ":")
			line := []string{filepath.Join(filepath.Dir(python), "litellm"), "--config", "config.yaml", "--host", "127.0.0.1", "--port", port}
			return &process{line: line, env: at.environ(append(env, "LITELLM_LOCAL_MODEL_COST_MAP=True", "LITELLM_MASTER_KEY="+masterKey)...),
				dir: at.dir, log: filepath.Join(at.dir, "log"), ready: "http://" + at.addr + "/health/liveliness"}, nil
		},
		request: func(at place, _, text string) (*http.Request, error) {
			call, err := json.Marshal(map[string]any{"model": "good", "messages": []any{map[string]string{"role": "user", "content": text}}})
			if err != nil {
				return nil, err
			}
			req, err := http.NewRequest(http.MethodPost, "http://"+at.addr+"/v1/chat/completions", bytes.NewReader(call))
			if err == nil {
				req.Header.Set("Authorization", "Bearer "+masterKey)
				req.Header.Set("Content-Type", "application/json")
			}
			return req, err
		},
	}
}

// plainPUT is an application that answers and then puts its record to S3 by the AWS SDK, with
// the SDK's own three attempts.
func plainPUT(self, version string) *peer {
	return &peer{
		version: version, acked: "the call was answered; its record is in memory",
		rate: accidentRate, once: true, holds: 1e6, records: whole,
		start: func(at place) (*process, error) {
			return &process{line: []string{self, plainCommand, at.addr, at.endpoint, at.bucket}, env: at.environ(), dir: at.dir,
				log: filepath.Join(at.dir, "log"), ready: "http://" + at.addr + "/", anyAnswer: true}, nil
		},
		request: func(at place, id, text string) (*http.Request, error) {
			return http.NewRequest(http.MethodPost, "http://"+at.addr+"/"+id+".json", strings.NewReader(text))
		},
	}
}
