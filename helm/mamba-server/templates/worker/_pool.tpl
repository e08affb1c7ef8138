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
{{- $scaler -}}
{{- end -}}
{{- end }}

{{- /* The queues that the values name, as JSON: of agents, of models and of pools. */ -}}
{{- define "mamba.queues" -}}
{{- $queues := list "main" -}}
{{- range .Values.agents }}{{ $queues = append $queues (default "main" .queue) }}{{ end -}}
{{- range $_, $queue := (default dict .Values.config.models).queues }}{{ $queues = append $queues $queue }}{{ end -}}
{{- range $_, $pool := include "mamba.pools" . | fromJson }}{{ $queues = concat $queues $pool.queues }}{{ end -}}
{{- $inside := list -}}
{{- range $queues | uniq }}{{ if not (has . $.Values.externalQueues) }}{{ $inside = append $inside . }}{{ end }}{{ end -}}
{{- toJson $inside -}}
{{- end }}

{{- /* The Redis key of a queue, as in shared/redis/keys.py. */ -}}
{{- define "mamba.queue.key" -}}
{{- if eq . "main" }}mamba:queue{{ else }}mamba:queues:{{ . }}{{ end -}}
{{- end }}
