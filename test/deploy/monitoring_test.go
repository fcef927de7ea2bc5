package deploy

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	rulesFile     = chartDir + "/monitoring/indelible.rules.yaml"
	dashboardFile = chartDir + "/monitoring/indelible.dashboard.json"
)

type rule struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

func rules(t *testing.T) []rule {
	t.Helper()
	var file struct {
		Groups []struct {
			Rules []rule `json:"rules"`
		} `json:"groups"`
	}
	unmarshal(t, read(t, rulesFile), &file)
	if len(file.Groups) != 1 || len(file.Groups[0].Rules) < 10 {
		t.Fatalf("rules: %+v", file)
	}
	return file.Groups[0].Rules
}

// TestRules has promtool run the rules' unit tests, and each rule has one that sees it fire.
func TestRules(t *testing.T) {
	promtool := promtool(t)
	const tests = "testdata/rules_test.yaml"
	for _, args := range [][]string{{"check", "rules", rulesFile}, {"test", "rules", tests}} {
		if out, err := command(t, append([]string{promtool}, args...)...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", args[0], err, out)
		}
	}
	var file struct {
		Tests []struct {
			Alerts []struct {
				Name string `json:"alertname"`
				Want []any  `json:"exp_alerts"`
			} `json:"alert_rule_test"`
		} `json:"tests"`
	}
	unmarshal(t, read(t, tests), &file)
	fires := map[string]bool{}
	for _, c := range file.Tests {
		for _, a := range c.Alerts {
			fires[a.Name] = fires[a.Name] || len(a.Want) > 0
		}
	}
	for _, r := range rules(t) {
		if !fires[r.Alert] {
			t.Errorf("%s: no test sees it fire", r.Alert)
		}
	}
}

// TestRunbooks: each alert leads to a section of its own in the documentation, and each
// such section to an alert.
func TestRunbooks(t *testing.T) {
	page := read(t, "../../docs/operations.md")
	var sections, alerts []string
	for _, m := range regexp.MustCompile(`(?m)^### (Indelible\w+)$`).FindAllStringSubmatch(page, -1) {
		sections = append(sections, m[1])
	}
	for _, r := range rules(t) {
		alerts = append(alerts, r.Alert)
		if want := "docs/operations.md#" + strings.ToLower(r.Alert); r.Annotations["runbook_url"] != want {
			t.Errorf("%s: runbook_url %q, want %q", r.Alert, r.Annotations["runbook_url"], want)
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" || r.Labels["severity"] == "" {
			t.Errorf("%s: summary, description and severity are needed", r.Alert)
		}
	}
	slices.Sort(sections)
	slices.Sort(alerts)
	if !slices.Equal(sections, alerts) {
		t.Errorf("docs/operations.md has sections %v, the alerts are %v", sections, alerts)
	}
}

// TestChartMonitoring: the manifests that the schemas do not know carry the same rules, with
// runbooks at the given address.
func TestChartMonitoring(t *testing.T) {
	text := render(t, everything, "1.37.0")["indelible/templates/monitoring.yaml"]
	kinds := map[string]string{}
	for doc := range strings.SplitSeq(text, "\n---\n") {
		var m struct {
			Kind string `json:"kind"`
		}
		unmarshal(t, doc, &m)
		kinds[m.Kind] = doc
	}
	var set struct {
		Spec struct {
			Groups []struct {
				Rules []rule `json:"rules"`
			} `json:"groups"`
		} `json:"spec"`
	}
	unmarshal(t, kinds["PrometheusRule"], &set)
	got := set.Spec.Groups[0].Rules
	for i, r := range rules(t) {
		if got[i].Expr != r.Expr || got[i].Annotations["runbook_url"] != "https://docs.example/"+r.Annotations["runbook_url"] {
			t.Errorf("%s: %+v", r.Alert, got[i])
		}
	}
	if !strings.Contains(kinds["ServiceMonitor"], "key: INDELIBLE_ADMIN_TOKEN") {
		t.Errorf("ServiceMonitor without a token:\n%s", kinds["ServiceMonitor"])
	}
	var dashboard struct {
		Data map[string]string `json:"data"`
	}
	unmarshal(t, kinds["ConfigMap"], &dashboard)
	if strings.TrimSpace(dashboard.Data["indelible.json"]) != strings.TrimSpace(read(t, dashboardFile)) {
		t.Error("the dashboard is not the file's")
	}
}

type panel struct {
	ID          int    `json:"id"`
	Type        string `json:"type"`
	Title       string `json:"title"`
	Description string `json:"description"`
	GridPos     struct{ X, Y, W, H int }
	Datasource  struct{ Type, UID string }
	FieldConfig struct {
		Defaults struct {
			Unit string `json:"unit"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
	Targets []struct {
		RefID, Expr, LegendFormat string
	} `json:"targets"`
}

func dashboard(t *testing.T) (panels []panel) {
	t.Helper()
	var d struct {
		Title, UID string
		Templating struct {
			List []struct{ Name, Type string }
		}
		Panels []panel
	}
	if err := json.Unmarshal([]byte(read(t, dashboardFile)), &d); err != nil {
		t.Fatal(err)
	}
	if d.Title == "" || d.UID == "" || len(d.Templating.List) != 2 || d.Templating.List[0].Type != "datasource" {
		t.Errorf("title, uid, a variable for the data source and one for the instance: %+v", d.Templating)
	}
	return d.Panels
}

// TestDashboard checks what Grafana's own linter would: each panel says what it shows, in
// a unit, from the chosen data source and instances, and lies beside the others.
func TestDashboard(t *testing.T) {
	panels := dashboard(t)
	if len(panels) < 10 {
		t.Fatalf("%d panels", len(panels))
	}
	taken := map[[2]int]string{}
	ids := map[int]bool{}
	var queries strings.Builder
	queries.WriteString("groups:\n  - name: queries\n    rules:\n")
	for _, p := range panels {
		if ids[p.ID] {
			t.Errorf("%s: its id is another panel's, too", p.Title)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if x >= 24 || taken[[2]int{x, y}] != "" {
					t.Fatalf("%s lies on %q at %d,%d", p.Title, taken[[2]int{x, y}], x, y)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Title == "" || p.Description == "" || p.FieldConfig.Defaults.Unit == "" || p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 {
			t.Errorf("%s: title, description, unit, data source and a query are needed", p.Title)
		}
		for i, q := range p.Targets {
			if !strings.Contains(q.Expr, `instance=~"$instance"`) {
				t.Errorf("%s: %s is about other instances, too", p.Title, q.Expr)
			}
			expr := strings.NewReplacer("$__rate_interval", "5m", "$instance", "a", "$__range", "1h").Replace(q.Expr)
			fmt.Fprintf(&queries, "      - {record: 'panel_%d_%d', expr: %q}\n", p.ID, i, expr)
		}
	}
	file := filepath.Join(t.TempDir(), "queries.yaml")
	if err := os.WriteFile(file, []byte(queries.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := command(t, promtool(t), "check", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("a query does not parse: %v\n%s", err, out)
	}
}

// TestMetricsAreThere: every metric that an alert or a panel names, and every value of a
// label, is one that a running daemon has.
func TestMetricsAreThere(t *testing.T) {
	there := metricsOf(t, "indelible_checkpoint_age_seconds", func(string) {})
	for name := range metricsOf(t, "indelible_upload_retries_total", func(store string) {
		if err := os.Rename(store, store+".away"); err != nil {
			t.Fatal(err)
		}
	}) {
		there[name] = true
	}
	named := map[string]string{}
	for _, r := range rules(t) {
		named[r.Expr] = "alert " + r.Alert
	}
	for _, p := range dashboard(t) {
		for _, q := range p.Targets {
			named[q.Expr] = "panel " + p.Title
		}
	}
	metric := regexp.MustCompile(`\bindelible_\w+`)
	for expr, where := range named {
		for _, m := range metric.FindAllString(expr, -1) {
			if !there[m] {
				t.Errorf("%s names %s, which no daemon has", where, m)
			}
		}
	}
	for _, state := range []string{"ok", "slow", "full"} {
		if !there[`indelible_disk_state{state="`+state+`"}`] {
			t.Errorf("disk state %s: not there", state)
		}
	}
	for _, state := range []string{"credentials", "configuration", "unreachable"} {
		if !there[`indelible_destination_state{state="`+state+`"}`] {
			t.Errorf("destination state %s: not there", state)
		}
	}
}

// metricsOf starts serve, does something to its store, sends it a record and one that it
// refuses, and says which metrics it has once it has the one that is waited for.
func metricsOf(t *testing.T, awaited string, accident func(store string)) map[string]bool {
	t.Helper()
	data, store := t.TempDir(), filepath.Join(t.TempDir(), "store")
	config := filepath.Join(t.TempDir(), "indelible.yaml")
	if err := os.WriteFile(config, []byte("proof: {checkpoint_every: 1s}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := command(t, indelible(t), "serve", "--config", config, "--data", data, "--to", store,
		"--s3", "127.0.0.1:0", "--http", "off", "--proxy", "off", "--admin", "127.0.0.1:0")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	var at struct{ S3, Admin string }
	patiently(t, "serve is ready", func() bool {
		b, err := os.ReadFile(filepath.Join(data, "run.json"))
		return err == nil && json.Unmarshal(b, &at) == nil && get("http://"+at.Admin+"/readyz") != ""
	})
	put := func(name, md5 string) int {
		req, err := http.NewRequest(http.MethodPut, "http://"+at.S3+"/audit/"+name, strings.NewReader(`{"id":"a"}`))
		if err != nil {
			t.Fatal(err)
		}
		if md5 != "" {
			req.Header.Set("Content-MD5", md5)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	if got := put("a.json", ""); got != http.StatusOK {
		t.Fatal("PUT:", got)
	}
	patiently(t, "the first record is stored", func() bool {
		_, err := os.Stat(filepath.Join(store, "a.json"))
		return err == nil
	})
	accident(store)
	if got := put("b.json", ""); got != http.StatusOK {
		t.Fatal("PUT:", got)
	}
	if got := put("c.json", "AAAAAAAAAAAAAAAAAAAAAA=="); got == http.StatusOK {
		t.Fatal("a wrong digest was acknowledged")
	}
	there := map[string]bool{}
	patiently(t, awaited, func() bool {
		for line := range strings.Lines(get("http://" + at.Admin + "/metrics")) {
			series, _, _ := strings.Cut(strings.TrimSpace(line), " ")
			name, _, _ := strings.Cut(series, "{")
			there[series], there[name] = true, true
		}
		return there[awaited]
	})
	return there
}

// get is the body of an answer of 200, and nothing else.
func get(url string) string {
	resp, err := http.Get(url)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return ""
	}
	return string(b)
}

func patiently(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(3 * time.Minute); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within three minutes", what)
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
