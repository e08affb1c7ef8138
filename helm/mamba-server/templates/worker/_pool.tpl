{{- /* The pools by name, each with all its values, as JSON. */ -}}
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

{{- /* Whether workers tell their metrics: true, or nothing. */ -}}
{{- define "mamba.worker.metrics" -}}
{{- if or .Values.metrics.podMonitor.enabled .Values.metrics.annotations }}true{{ end -}}
{{- end }}

{{- /* keda, hpa, or nothing. */ -}}
{{- define "mamba.pool.scaler" -}}
{{- $scaling := .values.autoscaling -}}
{{- if $scaling.enabled -}}
{{- $scaler := $scaling.kind -}}
{{- if eq $scaler "auto" -}}
{{- $scaler = ternary "keda" "hpa" (.root.Capabilities.APIVersions.Has "keda.sh/v1alpha1") -}}
{{- end -}}
{{- if and (eq $scaler "hpa") (lt (int $scaling.minReplicas) 1) -}}
{{- fail (printf "pool %s: minReplicas 0 needs KEDA, as nothing else sees a run that waits for the first worker" .pool) -}}
{{- end -}}
{{- $scaler -}}
{{- end -}}
{{- end }}

{{- /* The Redis key of a queue by its name, as shared/redis/keys.py spells it. */ -}}
{{- define "mamba.queue.key" -}}
{{- if eq . "main" }}mamba:queue{{ else }}mamba:queues:{{ . }}{{ end -}}
{{- end }}
