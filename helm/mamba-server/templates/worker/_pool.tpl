{{- /* All pools by name, each with its complete values, as JSON. */ -}}
{{- define "mamba.pools" -}}
{{- $pools := dict -}}
{{- range $name, $own := .Values.pools -}}
{{- if not (kindIs "invalid" $own) -}}
{{- $_ := set $pools $name (mergeOverwrite (deepCopy $.Values.worker) (deepCopy $own)) -}}
{{- end -}}
{{- end -}}
{{- toJson $pools -}}
{{- end }}

{{- define "mamba.pool.drain" -}}
{{- if kindIs "invalid" .values.drainSeconds -}}
{{- .root.Values.config.worker.drain_seconds -}}
{{- else -}}
{{- .values.drainSeconds -}}
{{- end -}}
{{- end }}

{{- /* Whether the workers export metrics: "true" or empty. */ -}}
{{- define "mamba.worker.metrics" -}}
{{- if or .Values.metrics.podMonitor.enabled .Values.metrics.annotations }}true{{ end -}}
{{- end }}

{{- /* The scaler of a pool: keda, hpa or empty. */ -}}
{{- define "mamba.pool.scaler" -}}
{{- $scaling := .values.autoscaling -}}
{{- if $scaling.enabled -}}
{{- $scaler := $scaling.kind -}}
{{- if eq $scaler "auto" -}}
{{- $scaler = ternary "keda" "hpa" (.root.Capabilities.APIVersions.Has "keda.sh/v1alpha1") -}}
{{- end -}}
{{- if and (eq $scaler "hpa") (lt (int $scaling.minReplicas) 1) -}}
{{- fail (printf "pool %s: minReplicas 0 needs KEDA, because an HPA cannot scale up from zero" .pool) -}}
{{- end -}}
{{- $scaler -}}
{{- end -}}
{{- end }}

{{- /* The Redis key of a queue, as in shared/redis/keys.py. */ -}}
{{- define "mamba.queue.key" -}}
{{- if eq . "main" }}mamba:queue{{ else }}mamba:queues:{{ . }}{{ end -}}
{{- end }}
