package local

import (
	"context"

	"indelible/integrations/litellm"
	"indelible/internal/config"
	"indelible/internal/control"
)

// LiteLLM is the block of LiteLLM's config.yaml that sends its audit log here: through the S3
// door, through the HTTP door with our callback, or with its calls through the recording proxy. It speaks of the daemon that runs on
// the data directory, or else of this configuration.
func LiteLLM(ctx context.Context, l *config.Loaded, callback, throughProxy bool) (string, error) {
	doors := configuredDoors(&l.Config)
	if c, ok := control.Dial(ctx, l.Config.Data); ok {
		s, err := c.Status(ctx)
		_ = c.Close()
		if err != nil {
			return "", err
		}
		doors = s.Doors
	}
	s3, hasS3 := doors["s3"]
	http, hasHTTP := doors["http"]
	proxy, hasProxy := doors["proxy"]
	switch {
	case callback && throughProxy:
		return "", &config.Error{Where: "--proxy", Problem: "--callback and --proxy print two blocks that go together: ask for one after the other"}
	case throughProxy && !hasProxy:
		return "", &config.Error{Where: "--proxy", Problem: "the proxy is off (doors.proxy.listen, INDELIBLE_PROXY)"}
	case throughProxy:
		return litellm.Proxy{URL: proxy.URL, Token: proxy.Credentials}.Block(), nil
	case callback && !hasHTTP:
		return "", &config.Error{Where: "--http", Problem: "the HTTP door is off, and the callback needs it"}
	case callback:
		return litellm.HTTPDoor{URL: http.URL, Token: http.Credentials}.Block(), nil
	case !hasS3 && hasHTTP:
		return "", &config.Error{Where: "--s3", Problem: "the S3 door is off, and LiteLLM's s3_v2 needs it: \"indelible litellm config --callback\" is for the HTTP door"}
	case !hasS3:
		return "", &config.Error{Where: "--s3", Problem: "the S3 door is off, and LiteLLM's s3_v2 needs it"}
	}
	return S3Block(s3), nil
}

// S3Block is the block that sends LiteLLM's audit log to this S3 door.
func S3Block(door control.DoorStatus) string {
	d := litellm.S3Door{URL: door.URL, Bucket: door.Bucket}
	if len(door.KeyIDs) > 0 {
		d.KeyID = door.KeyIDs[0]
	}
	return d.Block()
}

// configuredDoors are the doors that serve would open with this configuration.
func configuredDoors(c *config.Config) map[string]control.DoorStatus {
	doors := map[string]control.DoorStatus{}
	for _, at := range c.Open() {
		if at.Name != "admin" {
			doors[at.Name] = DoorOf(at, at.Addr)
		}
	}
	return doors
}

// DoorOf is what a configuration says of a door that listens on addr.
func DoorOf(at config.Listener, addr string) control.DoorStatus {
	return control.DoorStatus{Listen: addr, URL: at.URL(addr), Bucket: at.Bucket, KeyIDs: at.KeyIDs, Credentials: at.Credentials}
}
