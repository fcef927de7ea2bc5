package litellm

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Finding is what Check says of one setting of LiteLLM's.
type Finding struct {
	OK     bool
	Loses  bool // not OK: records are lost, and not only at risk
	Found  string
	Remedy string // "" where it is OK
}

// Doors are what a configuration may point at; nil: the door is off.
type Doors struct {
	S3     *S3Door
	KeyIDs []string // of all access keys of the S3 door
	HTTP   *HTTPDoor
}

// settings are the parts of LiteLLM's config.yaml that say where its audit log goes.
type settings struct {
	LiteLLM struct {
		Callbacks        texts          `yaml:"callbacks"`
		SuccessCallbacks texts          `yaml:"success_callback"`
		FailureCallbacks texts          `yaml:"failure_callback"`
		S3               map[string]any `yaml:"s3_callback_params"`
	} `yaml:"litellm_settings"`
	Environment map[string]any `yaml:"environment_variables"`
}

// texts are a list of texts, or one.
type texts []string

// UnmarshalYAML is yaml.Unmarshaler's.
func (t *texts) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*t = strings.Fields(n.Value)
		return nil
	}
	var list []string
	err := n.Decode(&list)
	*t = list
	return err
}

// Check says whether a config.yaml of LiteLLM's sends the audit log to these doors, and what in it
// loses records. env looks up LiteLLM's environment, as far as it is known.
func Check(text []byte, doors Doors, env func(string) (string, bool)) []Finding {
	var s settings
	if err := yaml.Load(text, &s, yaml.WithUniqueKeys()); err != nil {
		return []Finding{bad(true, "correct the file: LiteLLM reads it with the same rules, but for fields that are there twice, of which it reads one", "%v", oneLine(err))}
	}
	l := s.LiteLLM
	all := slices.Concat(l.Callbacks, l.SuccessCallbacks)
	callback := slices.ContainsFunc(all, func(c string) bool { return strings.HasPrefix(c, "indelible_callback.") })
	hasS3 := slices.Contains(all, "s3_v2")
	var list []Finding
	switch {
	case callback:
		list = append(list, checkCallback(doors, s.Environment, env))
		if slices.Index(all, "indelible_callback.indelible") > 0 {
			list = append(list, bad(false, "put it in front of the others", "the callback is not the first of litellm_settings.callbacks"))
		}
	case !hasS3:
		return []Finding{bad(true, "put what \"indelible litellm config\" prints into the file", "neither s3_v2 nor the callback is among litellm_settings.callbacks: nothing is sent here")}
	}
	if hasS3 {
		if !slices.Contains(l.Callbacks, "s3_v2") && !slices.Contains(l.FailureCallbacks, "s3_v2") {
			list = append(list, bad(true, "put s3_v2 into litellm_settings.callbacks", "s3_v2 is a success_callback alone: calls that fail have no record"))
		}
		list = append(list, checkS3(l.S3, doors)...)
		flush, known := env("DEFAULT_S3_FLUSH_INTERVAL_SECONDS")
		if v, ok := s.Environment["DEFAULT_S3_FLUSH_INTERVAL_SECONDS"]; ok {
			flush, known = fmt.Sprint(v), true
		}
		if !known && !callback {
			list = append(list, bad(false, "set DEFAULT_S3_FLUSH_INTERVAL_SECONDS=1 in LiteLLM's environment, or use the callback", "s3_v2 keeps records in memory for up to 10 s, and they die with LiteLLM (its environment is not known here)"))
		} else if known {
			list = append(list, good("s3_v2 sends what it has every %s s", flush))
		}
	}
	return list
}

func good(format string, args ...any) Finding {
	return Finding{OK: true, Found: fmt.Sprintf(format, args...)}
}

func bad(loses bool, remedy, format string, args ...any) Finding {
	return Finding{Loses: loses, Remedy: remedy, Found: fmt.Sprintf(format, args...)}
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

func checkCallback(doors Doors, environment map[string]any, env func(string) (string, bool)) Finding {
	if doors.HTTP == nil {
		return bad(true, "switch it on: --http, INDELIBLE_HTTP or doors.http.listen", "the callback posts to the HTTP door, which is off")
	}
	at, known := env("INDELIBLE_URL")
	if v, ok := environment["INDELIBLE_URL"]; ok {
		at, known = fmt.Sprint(v), true
	}
	if !known {
		at = "http://127.0.0.1:4318" // the callback's own
	}
	if !sameHost(at, doors.HTTP.URL) {
		return bad(!known, "set INDELIBLE_URL="+doors.HTTP.URL+" in LiteLLM's environment", "the callback posts to %s, and the HTTP door is at %s", at, doors.HTTP.URL)
	}
	return good("the callback posts to %s", at)
}

// checkS3 looks at s3_callback_params.
func checkS3(params map[string]any, doors Doors) []Finding {
	if doors.S3 == nil {
		return []Finding{bad(true, "switch it on: --s3, INDELIBLE_S3 or doors.s3.listen", "s3_v2 sends to the S3 door, which is off")}
	}
	if params == nil {
		return []Finding{bad(true, "put what \"indelible litellm config\" prints into the file", "s3_v2 has no s3_callback_params")}
	}
	text := func(name string) string {
		if v, ok := params[name]; ok && v != nil {
			return fmt.Sprint(v)
		}
		return ""
	}
	list := []Finding{checkEndpoint(text("s3_endpoint_url"), doors.S3.URL)}
	for _, name := range []string{"s3_bucket_name", "s3_region_name", "s3_aws_access_key_id", "s3_aws_secret_access_key"} {
		if text(name) == "" {
			list = append(list, bad(true, "set "+name+"; any text will do where signatures are not checked", "%s is not set, and s3_v2 sends nothing without", name))
		}
	}
	if id := text("s3_aws_access_key_id"); len(doors.KeyIDs) > 0 && id != "" && !slices.Contains(doors.KeyIDs, id) && !strings.HasPrefix(id, "os.environ/") {
		list = append(list, bad(true, "use one of "+strings.Join(doors.KeyIDs, ", "), "s3_aws_access_key_id is %q, which the S3 door does not know", id))
	}
	if v := text("s3_max_retry_age_seconds"); v != "0" {
		list = append(list, bad(true, "set s3_max_retry_age_seconds: 0", "s3_max_retry_age_seconds is %s: s3_v2 gives records up when they are as old as that", cmp.Or(v, "not set, and 3600 then")))
	}
	if v := text("s3_drop_on_terminal_error"); v != "false" {
		list = append(list, bad(true, "set s3_drop_on_terminal_error: false", "s3_drop_on_terminal_error is %s: s3_v2 drops a record that is refused once", cmp.Or(v, "not set, and true then")))
	}
	return list
}

func checkEndpoint(at, door string) Finding {
	remedy := "set s3_endpoint_url: " + door
	u, err := url.Parse(at)
	switch {
	case at == "":
		return bad(true, remedy, "s3_endpoint_url is not set: s3_v2 sends to AWS")
	case strings.HasPrefix(at, "os.environ/"):
		return good("s3_v2 sends to what %s says", at)
	case err != nil || u.Host == "":
		return bad(true, remedy, "s3_endpoint_url %q is no URL", at)
	case u.Path != "":
		return bad(true, remedy, "s3_endpoint_url %q has a path: it takes neither a slash at its end nor the bucket", at)
	case !sameHost(at, door):
		return bad(false, remedy+", or look whether both are one place", "s3_v2 sends to %s, and the S3 door is at %s", at, door)
	}
	return good("s3_v2 sends to %s", at)
}

// sameHost says whether two URLs name one host and port, as far as their texts tell.
func sameHost(a, b string) bool {
	ua, err := url.Parse(a)
	if err != nil {
		return false
	}
	ub, err := url.Parse(b)
	local := func(host string) string {
		if host == "localhost" || host == "::1" {
			return "127.0.0.1"
		}
		return host
	}
	return err == nil && local(ua.Hostname()) == local(ub.Hostname()) && ua.Port() == ub.Port()
}
