{{- /* The settings that a component reads only at its start. A change of them rolls its pods.
Takes root, component. */ -}}
{{- define "mamba.atStart" -}}
{{- $root := .root -}}
{{- $read := dict -}}
{{- range $section, $names := get ($root.Files.Get "at-start.json" | fromJson) .component -}}
{{- $settings := default dict (get $root.Values.config $section) -}}
{{- $selected := dict -}}
{{- range $names -}}
{{- if hasKey $settings . -}}
{{- $_ := set $selected . (get $settings .) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $read $section $selected -}}
{{- end -}}
{{- toJson $read -}}
{{- end }}

{{- define "mamba.annotations" -}}
{{- $derived := dict "checksum/at-start" (include "mamba.atStart" . | sha256sum) "checksum/secret" (include "mamba.secret.content" .root | sha256sum) -}}
{{- if .root.Values.metrics.annotations -}}
{{- $port := ternary .root.Values.config.server.port .root.Values.metrics.workerPort (eq .component "api") -}}
{{- $derived = merge $derived (dict "prometheus.io/scrape" "true" "prometheus.io/port" (toString $port) "prometheus.io/path" .root.Values.metrics.path) -}}
{{- end -}}
{{- toYaml (merge (deepCopy .values.podAnnotations) $derived) -}}
{{- end }}

{{- /* The pod spec that both components share, without the container. */ -}}
{{- define "mamba.pod" -}}
serviceAccountName: {{ default (include "mamba.serviceAccount" .root) .values.serviceAccountName }}
automountServiceAccountToken: false
# Service links would add variables such as MAMBA_SERVER_PORT, which look like settings.
enableServiceLinks: false
securityContext:
  {{- include "mamba.compact" .values.podSecurityContext | nindent 2 }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- if .values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- $selector := dict "labelSelector" (dict "matchLabels" (include "mamba.selector" . | fromYaml)) }}
  {{- range .values.topologySpreadConstraints }}
  - {{ toYaml (merge (deepCopy .) $selector) | nindent 4 | trim }}
  {{- end }}
{{- else if .values.spreadOver }}
topologySpreadConstraints:
  {{- range .values.spreadOver }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "mamba.selector" $ | nindent 8 }}
  {{- end }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.initContainers }}
initContainers:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumes:
  # Mounted as a folder, because a subPath mount is never updated.
  - name: config
    configMap:
      name: {{ include "mamba.fullname" .root }}
  - name: tmp
    emptyDir:
      sizeLimit: 64Mi
  {{- with .values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "mamba.container" -}}
image: {{ include "mamba.image" (dict "root" .root "image" .values.image) }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  {{- include "mamba.compact" .values.securityContext | nindent 2 }}
resources:
  {{- toYaml .values.resources | nindent 2 }}
volumeMounts:
  - name: config
    mountPath: /srv/mamba/config
    readOnly: true
  - name: tmp
    mountPath: /tmp
  {{- with .values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- range $name := list "startupProbe" "livenessProbe" "readinessProbe" }}
{{- with get $.values $name }}
{{ $name }}:
  {{- include "mamba.compact" . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{- define "mamba.env" -}}
- name: MAMBA_REDIS__URL
  valueFrom:
    secretKeyRef:
      {{- if .root.Values.redis.existingSecret.name }}
      name: {{ .root.Values.redis.existingSecret.name }}
      key: {{ .root.Values.redis.existingSecret.key }}
      {{- else }}
      name: {{ include "mamba.fullname" .root }}-redis
      key: url
      {{- end }}
{{- if or .root.Values.redis.streamsUrl .root.Values.redis.existingSecret.streamsKey }}
- name: MAMBA_REDIS__STREAMS_URL
  valueFrom:
    secretKeyRef:
      {{- if .root.Values.redis.existingSecret.streamsKey }}
      name: {{ .root.Values.redis.existingSecret.name }}
      key: {{ .root.Values.redis.existingSecret.streamsKey }}
      {{- else }}
      name: {{ include "mamba.fullname" .root }}-streams
      key: url
      {{- end }}
{{- end }}
{{- include "mamba.tracing" .root }}
{{- end }}

{{- define "mamba.tracing" -}}
{{- with .Values.tracing }}
{{- if .endpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ .endpoint | quote }}
{{- with .sampler }}
- name: OTEL_TRACES_SAMPLER
  value: {{ . | quote }}
{{- end }}
{{- with .samplerArg }}
- name: OTEL_TRACES_SAMPLER_ARG
  value: {{ . | quote }}
{{- end }}
{{- with .attributes }}
{{- $pairs := list }}
{{- range $name, $value := . }}
{{- $pairs = append $pairs (printf "%s=%s" $name (toString $value | urlquery | replace "+" "%20")) }}
{{- end }}
- name: OTEL_RESOURCE_ATTRIBUTES
  value: {{ join "," $pairs | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The variables of a container: those that the chart derives, given as YAML, and those of the values.
Takes root, values, derived. */ -}}
{{- define "mamba.variables" -}}
{{- $derived := fromYamlArray .derived -}}
{{- $names := list "MAMBA_SERVER__PORT" "MAMBA_SERVER__SHUTDOWN_DELAY_SECONDS" "MAMBA_SERVER__SHUTDOWN_GRACE_SECONDS" "MAMBA_WORKER__DRAIN_SECONDS" "MAMBA_WORKER__QUEUES" "MAMBA_REDIS__STREAMS_URL" -}}
{{- range $derived }}{{ $names = append $names .name }}{{ end -}}
{{- $help := "the chart derives other values from it. See config, redis, tracing, worker and metrics.workerPort in values.yaml" -}}
{{- range .values.extraEnv -}}
{{- if has .name $names }}{{ fail (printf "%s cannot be set by extraEnv: %s" .name $help) }}{{ end -}}
{{- end -}}
{{- range $name, $_ := .root.Values.secret.values -}}
{{- if has $name $names }}{{ fail (printf "%s cannot be set by secret.values: %s" $name $help) }}{{ end -}}
{{- end -}}
env:
  {{- toYaml (concat $derived .values.extraEnv) | nindent 2 }}
{{- $secrets := list -}}
{{- with .root.Values.secret.existing }}{{ $secrets = append $secrets . }}{{ end -}}
{{- if .root.Values.secret.values }}{{ $secrets = append $secrets (include "mamba.fullname" .root) }}{{ end -}}
{{- $sources := list -}}
{{- range $secrets }}{{ $sources = append $sources (dict "secretRef" (dict "name" .)) }}{{ end -}}
{{- with concat $sources .values.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "mamba.secret.content" -}}
{{- dict "values" .Values.secret.values "redis" (include "mamba.redis.url" .) "streams" .Values.redis.streamsUrl | toJson -}}
{{- end }}
