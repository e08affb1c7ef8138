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

{{- /* Grace periods and ports are derived from these settings, so variables must not override them. */ -}}
{{- define "mamba.env.check" -}}
{{- $derived := list "MAMBA_SERVER__PORT" "MAMBA_SERVER__SHUTDOWN_DELAY_SECONDS" "MAMBA_SERVER__SHUTDOWN_GRACE_SECONDS" "MAMBA_WORKER__DRAIN_SECONDS" "MAMBA_REDIS__URL" "MAMBA_REDIS__STREAMS_URL" -}}
{{- if include "mamba.worker.metrics" .root -}}
{{- $derived = concat $derived (list "MAMBA_WORKER__METRICS_PORT" "MAMBA_WORKER__METRICS_HOST") -}}
{{- end -}}
{{- range concat (list) .values.env -}}
{{- if has .name $derived -}}
{{- fail (printf "%s cannot be set by env: the chart derives other values from it. See config, redis, worker.drainSeconds and metrics.workerPort in values.yaml" .name) -}}
{{- end -}}
{{- end -}}
{{- range $name, $_ := .root.Values.secret.values -}}
{{- if has $name $derived -}}
{{- fail (printf "%s cannot be set by secret.values: see config, redis, worker.drainSeconds and metrics.workerPort in values.yaml" $name) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "mamba.annotations" -}}
checksum/at-start: {{ include "mamba.atStart" . | sha256sum }}
checksum/secret: {{ include "mamba.secret.content" .root | sha256sum }}
{{- if .root.Values.metrics.annotations }}
{{- $port := ternary .root.Values.config.server.port .root.Values.metrics.workerPort (eq .component "api") }}
prometheus.io/scrape: "true"
prometheus.io/port: {{ $port | quote }}
prometheus.io/path: {{ .root.Values.metrics.path }}
{{- end }}
{{- with .values.podAnnotations }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* The pod spec that both components share, without the container. */ -}}
{{- define "mamba.pod" -}}
serviceAccountName: {{ include "mamba.serviceAccount" .root }}
automountServiceAccountToken: false
# Service links would add variables such as MAMBA_SERVER_PORT, which look like settings.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 1000
  runAsGroup: 1000
  fsGroup: 1000
  seccompProfile:
    type: RuntimeDefault
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .values.spreadOver }}
topologySpreadConstraints:
  {{- range . }}
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
volumes:
  # Mounted as a folder, because a subPath mount is never updated.
  - name: config
    configMap:
      name: {{ include "mamba.fullname" .root }}
  - name: tmp
    emptyDir:
      sizeLimit: 64Mi
{{- end }}

{{- define "mamba.container" -}}
image: {{ include "mamba.image" (dict "root" .root "image" .values.image) }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
resources:
  {{- toYaml .values.resources | nindent 2 }}
volumeMounts:
  - name: config
    mountPath: /srv/mamba/config
    readOnly: true
  - name: tmp
    mountPath: /tmp
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
{{- with .values.env }}
{{ toYaml . }}
{{- end }}
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

{{- define "mamba.envFrom" -}}
{{- if or .Values.secret.existing .Values.secret.values -}}
envFrom:
  {{- with .Values.secret.existing }}
  - secretRef:
      name: {{ . }}
  {{- end }}
  {{- if .Values.secret.values }}
  - secretRef:
      name: {{ include "mamba.fullname" . }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "mamba.secret.content" -}}
{{- dict "values" .Values.secret.values "redis" (include "mamba.redis.url" .) "streams" .Values.redis.streamsUrl | toJson -}}
{{- end }}
