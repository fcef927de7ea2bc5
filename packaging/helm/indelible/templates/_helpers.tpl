{{- define "indelible.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{- define "indelible.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "indelible.labels" -}}
{{ include "indelible.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "indelible.image" -}}
{{- $repository := required "image.repository: name the registry that you pushed the image to (docs/install.md)" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{ $repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ $repository }}:{{ required "image.tag or image.digest: say which version" .Values.image.tag }}
{{- end -}}
{{- end -}}

{{- define "indelible.secret" -}}
{{- if .Values.auth.existingSecret -}}
{{ .Values.auth.existingSecret }}
{{- else if .Values.auth.values -}}
{{- if not .Values.auth.values.INDELIBLE_ADMIN_TOKEN -}}
{{- fail "auth.values.INDELIBLE_ADMIN_TOKEN is missing: probes and metrics need the admin listener, and that needs a token" -}}
{{- end -}}
{{ include "indelible.name" . }}
{{- else -}}
{{- fail "auth.existingSecret: name a Secret with INDELIBLE_ADMIN_TOKEN and, in mode service, INDELIBLE_S3_KEYS or INDELIBLE_HTTP_TOKENS (docs/kubernetes.md)" -}}
{{- end -}}
{{- end -}}

{{- /* indelible.yaml: the values as they stand, and what the chart decides. */ -}}
{{- define "indelible.config" -}}
{{- $sidecar := eq .Values.mode "sidecar" -}}
{{- $config := deepCopy .Values.config -}}
{{- if not (dig "destination" "url" "" $config) -}}
{{- $_ := unset $config "destination" -}}
{{- end -}}
{{- $doors := dict -}}
{{- range $door, $port := dict "s3" 9000 "http" 4318 "proxy" 4100 -}}
{{- $listen := "off" -}}
{{- if index $.Values.doors $door -}}
{{- $listen = printf "%s:%d" (ternary "127.0.0.1" "0.0.0.0" $sidecar) $port -}}
{{- end -}}
{{- $_ := set $doors $door (dict "listen" $listen) -}}
{{- end -}}
{{- $fixed := dict "data" "/data/indelible" "doors" $doors "admin" (dict "listen" "0.0.0.0:9001") "log" (dict "format" "json") -}}
{{- mergeOverwrite $config $fixed | toYaml -}}
{{- end -}}

{{- /* The container of Indelible. In mode sidecar it is an init container that stays: LiteLLM starts when its doors are open, and it ends after LiteLLM. */ -}}
{{- define "indelible.container" -}}
{{- $sidecar := eq .Values.mode "sidecar" -}}
name: indelible
image: {{ include "indelible.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [serve, --config, /etc/indelible/indelible.yaml]
{{- if $sidecar }}
restartPolicy: Always
{{- end }}
envFrom:
  - secretRef:
      name: {{ include "indelible.secret" . }}
env:
  # The image sets another one, and the environment beats the file.
  - {name: INDELIBLE_DATA, value: /data/indelible}
  {{- with .Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
ports:
  {{- if not $sidecar }}
  {{- range $door, $port := dict "s3" 9000 "http" 4318 "proxy" 4100 }}
  {{- if index $.Values.doors $door }}
  - {name: {{ $door }}, containerPort: {{ $port }}}
  {{- end }}
  {{- end }}
  {{- end }}
  - {name: admin, containerPort: 9001}
# It starts while the bucket is away; it takes long only where much is in the spool.
startupProbe:
  httpGet: {path: /readyz, port: admin}
  periodSeconds: 1
  failureThreshold: 300
readinessProbe:
  httpGet: {path: /readyz, port: admin}
  periodSeconds: 5
livenessProbe:
  httpGet: {path: /healthz, port: admin}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
securityContext: {{- include "indelible.locked" . | nindent 2 }}
resources: {{- toYaml .Values.resources | nindent 2 }}
volumeMounts:
  - {name: data, mountPath: /data}
  - {name: config, mountPath: /etc/indelible, readOnly: true}
  - {name: tmp, mountPath: /tmp}
{{- end -}}

{{- define "indelible.locked" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end -}}
