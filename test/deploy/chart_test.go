// Package deploy checks what the product is deployed with.
package deploy

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/yannh/kubeconform/pkg/validator"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

const chartDir = "../../packaging/helm/indelible"

// values of the cases, beside the chart's own. trial is what a person who tries it sets.
const (
	trial = `
image: {repository: registry.example/indelible, tag: "1.0"}
auth: {values: {INDELIBLE_ADMIN_TOKEN: a-token-of-the-dashboard, INDELIBLE_S3_KEYS: "litellm:a-secret-of-a-sender", INDELIBLE_HTTP_TOKENS: a-token-of-a-sender}}
`
	sidecar = `
mode: sidecar
replicas: 2
image: {repository: registry.example/indelible, digest: "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}
auth: {existingSecret: indelible-secrets}
config: {destination: {url: "s3://audit/llm", region: eu-west-1}, layout: pack}
litellm:
  image: {tag: v1.109.1}
  existingSecret: provider-keys
  config:
    model_list: [{model_name: gpt-4o-mini, litellm_params: {model: openai/gpt-4o-mini}}]
    litellm_settings: {callbacks: [prometheus], drop_params: true}
`
	everything = trial + `
replicas: 3
doors: {s3: true, http: true, proxy: true}
config:
  destination: {url: "s3://audit/llm/{bucket}", region: eu-west-1, object_lock: {mode: governance, retain: 180d}}
  doors: {s3: {max_hold: 15s}, proxy: {tokens: ["${PROXY_TOKEN}"]}}
extraEnv: [{name: PROXY_TOKEN, valueFrom: {secretKeyRef: {name: proxy, key: token}}}]
imagePullSecrets: [{name: pull}]
persistence: {size: 100Gi, storageClass: fast, accessModes: [ReadWriteOncePod], annotations: {a: b}}
serviceAccount: {annotations: {"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/audit"}}
service: {type: LoadBalancer, annotations: {internal: "true"}}
podAnnotations: {a: b}
podLabels: {team: audit}
nodeSelector: {disk: nvme}
tolerations: [{key: audit, operator: Exists}]
affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app.kubernetes.io/name: indelible}}}]}}
topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app.kubernetes.io/name: indelible}}}]
priorityClassName: high
networkPolicy: {egress: [{ports: [{protocol: TCP, port: 443}, {protocol: UDP, port: 53}]}]}
serviceMonitor: {enabled: true, labels: {release: prometheus}}
prometheusRule: {enabled: true, runbookBase: "https://docs.example/"}
grafanaDashboard: {enabled: true}
`
)

var cases = map[string]string{"service": trial, "sidecar": sidecar, "everything": everything}

func TestChartLint(t *testing.T) {
	for name, values := range cases {
		t.Run(name, func(t *testing.T) {
			for _, m := range lint.RunAll(chartDir, parsed(t, values), "audit").Messages {
				if !strings.Contains(m.Error(), "icon is recommended") {
					t.Error(m)
				}
			}
		})
	}
}

// TestChart renders the chart, and asks the schemas of two Kubernetes versions about each manifest.
func TestChart(t *testing.T) {
	for _, version := range []string{"1.29.0", "1.37.0"} {
		schemas := kubernetesSchemas(t, version)
		check, err := validator.New([]string{schemas + "/{{ .ResourceKind }}{{ .KindSuffix }}.json"}, validator.Opts{
			Strict: true, KubernetesVersion: version,
			SkipKinds: map[string]struct{}{"ServiceMonitor": {}, "PrometheusRule": {}}, // monitoring_test.go
		})
		if err != nil {
			t.Fatal(err)
		}
		for name, values := range cases {
			t.Run(version+"/"+name, func(t *testing.T) {
				valid := 0
				for file, text := range render(t, values, version) {
					for _, r := range check.Validate(file, io.NopCloser(strings.NewReader(text))) {
						switch r.Status {
						case validator.Valid:
							valid++
						case validator.Invalid, validator.Error:
							t.Errorf("%s: %v %v", file, r.Err, r.ValidationErrors)
						}
					}
				}
				if valid < 7 {
					t.Errorf("%d manifests were valid", valid)
				}
			})
		}
	}
}

// TestChartNotices has the schemas find what is wrong, so that a pass means something.
func TestChartNotices(t *testing.T) {
	check, err := validator.New([]string{kubernetesSchemas(t, "1.37.0") + "/{{ .ResourceKind }}{{ .KindSuffix }}.json"}, validator.Opts{Strict: true, KubernetesVersion: "1.37.0"})
	if err != nil {
		t.Fatal(err)
	}
	good := render(t, trial, "1.37.0")["indelible/templates/statefulset.yaml"]
	validate := func(text string) validator.Status {
		return check.Validate("statefulset.yaml", io.NopCloser(strings.NewReader(text)))[0].Status
	}
	if got := validate(good); got != validator.Valid {
		t.Fatalf("unbroken: %v", got)
	}
	for _, wrong := range []string{
		strings.Replace(good, "podManagementPolicy", "podManagmentPolicy", 1),
		strings.Replace(good, "readinessProbe", "readynessProbe", 1),
		strings.Replace(good, "replicas: 1", "replicas: one", 1),
	} {
		if wrong == good {
			t.Fatal("nothing was broken")
		}
		if got := validate(wrong); got != validator.Invalid {
			t.Errorf("%v for\n%s", got, wrong)
		}
	}
}

// TestChartRefuses: what would not run says so before it is installed.
func TestChartRefuses(t *testing.T) {
	for name, c := range map[string]struct{ values, says string }{
		"no image":             {`auth: {existingSecret: s}`, "image.repository"},
		"no credentials":       {`image: {repository: r, tag: t}`, "auth.existingSecret"},
		"no admin token":       {`{image: {repository: r, tag: t}, auth: {values: {INDELIBLE_S3_KEYS: "a:b"}}}`, "INDELIBLE_ADMIN_TOKEN"},
		"a field that is none": {trial + "replica: 2", "replica"},
		"a mode that is none":  {trial + "mode: daemonset", "mode"},
		"a grace too short":    {trial + "terminationGracePeriodSeconds: 5", "terminationGracePeriodSeconds"},
		"LiteLLM, no version":  {trial + "mode: sidecar", "litellm.image.tag"},
		"shared volumes":       {trial + "persistence: {accessModes: [ReadWriteMany]}", "accessModes"},
		"data elsewhere":       {trial + "config: {data: /elsewhere}", "config"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := rendered(t, c.values, "1.37.0"); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q", err, c.says)
			}
		})
	}
}

// TestChartConfiguration gives the configuration that the chart writes to the program itself.
func TestChartConfiguration(t *testing.T) {
	exe := indelible(t)
	for name, values := range cases {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "indelible.yaml")
			if err := os.WriteFile(file, []byte(configMap(t, values)["indelible.yaml"]), 0o600); err != nil {
				t.Fatal(err)
			}
			environment := []string{
				"INDELIBLE_ADMIN_TOKEN=a-token-of-the-dashboard", "INDELIBLE_S3_KEYS=litellm:a-secret-of-a-sender",
				"INDELIBLE_HTTP_TOKENS=a-token-of-a-sender", "PROXY_TOKEN=a-token-of-a-caller", "INDELIBLE_DATA=/data", // the image's
			}
			var set appsv1.StatefulSet
			unmarshal(t, render(t, values, "1.37.0")["indelible/templates/statefulset.yaml"], &set)
			for _, c := range slices.Concat(set.Spec.Template.Spec.InitContainers, set.Spec.Template.Spec.Containers) {
				for _, e := range c.Env {
					if c.Name == "indelible" && e.Value != "" {
						environment = append(environment, e.Name+"="+e.Value)
					}
				}
			}
			for _, sub := range []string{"check", "print"} {
				out, err := command(t, append([]string{exe, "config", sub, "--config", file}, environment...)...).CombinedOutput()
				if err != nil {
					t.Errorf("config %s: %v\n%s", sub, err, out)
				}
				if sub == "print" && !strings.Contains(string(out), "/data/indelible") {
					t.Errorf("the data directory is not below the volume's own:\n%s", out)
				}
			}
		})
	}
}

// TestSidecar: Indelible is there before LiteLLM and until after it, nobody but LiteLLM
// reaches its doors, and the callback is first among LiteLLM's.
func TestSidecar(t *testing.T) {
	var set appsv1.StatefulSet
	unmarshal(t, render(t, sidecar, "1.37.0")["indelible/templates/statefulset.yaml"], &set)
	pod := set.Spec.Template.Spec
	inits := pod.InitContainers
	if len(inits) != 2 || inits[1].Name != "indelible" || inits[1].RestartPolicy == nil || *inits[1].RestartPolicy != corev1.ContainerRestartPolicyAlways || inits[1].StartupProbe == nil {
		t.Errorf("indelible is no sidecar that LiteLLM's start waits for: %+v", inits)
	}
	if *pod.TerminationGracePeriodSeconds != 105 {
		t.Errorf("grace period %d: LiteLLM's and then Indelible's", *pod.TerminationGracePeriodSeconds)
	}
	if len(inits[1].Ports) != 1 || inits[1].Ports[0].Name != "admin" {
		t.Errorf("ports %v", inits[1].Ports)
	}
	config := configMap(t, sidecar)
	var own struct {
		Doors map[string]struct{ Listen string }
	}
	unmarshal(t, config["indelible.yaml"], &own)
	for name, door := range own.Doors {
		if door.Listen != "off" && !strings.HasPrefix(door.Listen, "127.0.0.1:") {
			t.Errorf("door %s listens at %s", name, door.Listen)
		}
	}
	var llm struct {
		Settings struct {
			Callbacks []string `json:"callbacks"`
			Drop      bool     `json:"drop_params"`
		} `json:"litellm_settings"`
	}
	unmarshal(t, config["litellm.yaml"], &llm)
	if !slices.Equal(llm.Settings.Callbacks, []string{"indelible_callback.indelible", "prometheus"}) || !llm.Settings.Drop {
		t.Errorf("litellm_settings: %+v", llm.Settings)
	}
}

// TestLocked: every container of ours is as a hardened cluster wants it.
func TestLocked(t *testing.T) {
	for name, values := range cases {
		var set appsv1.StatefulSet
		unmarshal(t, render(t, values, "1.37.0")["indelible/templates/statefulset.yaml"], &set)
		pod := set.Spec.Template.Spec
		if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken {
			t.Errorf("%s: the pod gets a token for the cluster's API", name)
		}
		n := 0
		for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
			if c.Name == "litellm" {
				continue
			}
			n++
			s := c.SecurityContext
			if s == nil || !*s.RunAsNonRoot || !*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation || s.Capabilities.Drop[0] != "ALL" || *s.RunAsUser == 0 {
				t.Errorf("%s: container %s: %+v", name, c.Name, s)
			}
		}
		if n == 0 {
			t.Errorf("%s: no container", name)
		}
	}
}

func configMap(t *testing.T, values string) map[string]string {
	t.Helper()
	var m corev1.ConfigMap
	unmarshal(t, render(t, values, "1.37.0")["indelible/templates/config.yaml"], &m)
	return m.Data
}

func unmarshal(t *testing.T, text string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
}

func parsed(t *testing.T, values string) map[string]any {
	t.Helper()
	m, err := loader.LoadValues(bytes.NewReader([]byte(values)))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func render(t *testing.T, values, version string) map[string]string {
	t.Helper()
	files, err := rendered(t, values, version)
	if err != nil {
		t.Fatal(err)
	}
	delete(files, "indelible/templates/NOTES.txt")
	return files
}

func rendered(t *testing.T, values, version string) (map[string]string, error) {
	t.Helper()
	chart, err := loader.Load(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	caps := common.DefaultCapabilities.Copy()
	kube, err := common.ParseKubeVersion("v" + version)
	if err != nil {
		t.Fatal(err)
	}
	caps.KubeVersion = *kube
	release := common.ReleaseOptions{Name: "audit", Namespace: "llm", Revision: 1, IsInstall: true}
	all, err := util.ToRenderValues(chart, parsed(t, values), release, caps)
	if err != nil {
		return nil, err
	}
	return engine.Render(chart, all)
}
