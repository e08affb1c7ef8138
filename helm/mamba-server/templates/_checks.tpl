{{- /* Rejects values that are valid one by one, but would deploy something broken together. */ -}}
{{- define "mamba.checks" -}}
{{- include "mamba.check.redis" . -}}
{{- include "mamba.check.config" . -}}
{{- include "mamba.check.secrets" . -}}
{{- include "mamba.check.pools" . -}}
{{- include "mamba.check.api" . -}}
{{- end }}

{{- define "mamba.check.redis" -}}
{{- $redis := .Values.redis -}}
{{- $sources := 0 -}}
{{- if .Values.valkey.enabled }}{{ $sources = add1 $sources }}{{ end -}}
{{- if $redis.url }}{{ $sources = add1 $sources }}{{ end -}}
{{- if $redis.existingSecret.name }}{{ $sources = add1 $sources }}{{ end -}}
{{- if ne (int $sources) 1 -}}
{{- fail "Set exactly one of redis.url, redis.existingSecret.name and (for trials) valkey.enabled=true" -}}
{{- end -}}
{{- if and $redis.existingSecret.streamsKey (or (not $redis.existingSecret.name) $redis.streamsUrl) -}}
{{- fail "redis.existingSecret.streamsKey is a key of redis.existingSecret.name, in place of redis.streamsUrl" -}}
{{- end -}}
{{- end }}

{{- /* Settings that other values replace. Without this check, they would have no effect. */ -}}
{{- define "mamba.check.config" -}}
{{- $config := .Values.config -}}
{{- $replaced := dict "redis.url" "redis.url or redis.existingSecret" "redis.streams_url" "redis.streamsUrl or redis.existingSecret" "worker.queues" "worker.queues, or those of a pool" "worker.metrics_port" "metrics.podMonitor or metrics.annotations, and metrics.workerPort" "worker.metrics_host" "metrics.podMonitor or metrics.annotations" -}}
{{- if .Values.agents }}{{ $_ := set $replaced "agents.file" "agents alone: it is mounted as config/agents.yaml" }}{{ end -}}
{{- if gt (int (get (default dict (get $config "worker")) "processes")) 1 -}}
{{- fail "config.worker.processes must be 1 in this chart: Prometheus reads one metrics port of each pod. Set worker.replicas or worker.autoscaling" -}}
{{- end -}}
{{- range $path, $instead := $replaced -}}
{{- $names := splitList "." $path -}}
{{- if hasKey (default dict (get $config (first $names))) (last $names) -}}
{{- fail (printf "config.%s has no effect in this chart. Set %s" $path $instead) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* Secrets in `config`, which is stored in a ConfigMap. */ -}}
{{- define "mamba.check.secrets" -}}
{{- range .Files.Get "secrets.json" | fromJsonArray -}}
{{- include "mamba.check.secret" (dict "at" $.Values.config "path" . "key" "config" "variable" "MAMBA" "whole" false) -}}
{{- end -}}
{{- range splitList " " (include "mamba.urls" (list .Values.config .Values.tracing)) | compact -}}
{{- if contains ":" (default "" (urlParse .).userinfo) -}}
{{- fail (printf "The URL of %s contains a password, but is not stored in a Secret. Set its variable in secret.values or in the Secret of secret.existing" (urlParse .).hostname) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* Fails if there is a value at the path. The variable of an entry of a list is that of the list.
Takes at, path, key, variable, and whole: whether the variable is complete. */ -}}
{{- define "mamba.check.secret" -}}
{{- if and .path (kindIs "map" .at) -}}
{{- $name := first .path -}}
{{- range $found, $value := .at -}}
{{- if or (eq $name "<name>") (eq $name $found) -}}
{{- $variable := ternary $.variable (printf "%s%s%s" $.variable (ternary "_" "__" (eq $.variable "MAMBA")) $found) $.whole -}}
{{- include "mamba.check.secret" (dict "at" $value "path" (rest $.path) "key" (printf "%s.%s" $.key $found) "variable" $variable "whole" $.whole) -}}
{{- end -}}
{{- end -}}
{{- else if and .path (kindIs "slice" .at) -}}
{{- range $index, $value := .at -}}
{{- include "mamba.check.secret" (dict "at" $value "path" (rest $.path) "key" (printf "%s[%d]" $.key $index) "variable" $.variable "whole" true) -}}
{{- end -}}
{{- else if and (not .path) .at -}}
{{- fail (printf "%s is a secret, but config is stored in a ConfigMap. Set %s in secret.values or in the Secret of secret.existing" .key (upper .variable)) -}}
{{- end -}}
{{- end }}

{{- define "mamba.check.pools" -}}
{{- $pools := include "mamba.pools" . | fromJson -}}
{{- if not $pools }}{{ fail "pools is empty, so no worker would answer a chat. Define at least one pool" }}{{ end -}}
{{- $served := list -}}
{{- $serves_all := false -}}
{{- range $name, $pool := $pools -}}
{{- $served = concat $served $pool.queues -}}
{{- if not $pool.queues }}{{ $serves_all = true }}{{ end -}}
{{- include "mamba.check.scaling" (dict "root" $ "values" $pool "pool" $name) -}}
{{- end -}}
{{- $unserved := list -}}
{{- range include "mamba.queues" . | fromJsonArray -}}
{{- if not (or $serves_all (has . $served)) }}{{ $unserved = append $unserved . }}{{ end -}}
{{- end -}}
{{- with $unserved -}}
{{- fail (printf "No pool serves these queues of agents or models: %s. Add them to the queues of a pool, or to externalQueues" (join ", " .)) -}}
{{- end -}}
{{- end }}

{{- /* Takes root, values, pool. */ -}}
{{- define "mamba.check.scaling" -}}
{{- $scaling := .values.autoscaling -}}
{{- if $scaling.enabled -}}
{{- $scaler := include "mamba.pool.scaler" . -}}
{{- if gt (int $scaling.minReplicas) (int $scaling.maxReplicas) -}}
{{- fail (printf "pool %s: autoscaling.minReplicas (%d) must not exceed maxReplicas (%d)" .pool (int $scaling.minReplicas) (int $scaling.maxReplicas)) -}}
{{- end -}}
{{- if and (eq $scaler "hpa") (lt (int $scaling.minReplicas) 1) -}}
{{- fail (printf "pool %s: minReplicas 0 needs KEDA, because an HPA cannot scale up from zero" .pool) -}}
{{- end -}}
{{- if eq $scaler "hpa" }}{{ include "mamba.check.cpu" (dict "values" .values "name" (printf "pool %s" .pool)) }}{{ end -}}
{{- if and $scaling.metrics (eq $scaling.kind "keda") -}}
{{- fail (printf "pool %s: autoscaling.metrics has no effect with kind keda. Remove it, or set kind hpa" .pool) -}}
{{- end -}}
{{- if and (not $scaling.redis.address) (or $scaling.redis.tls $scaling.redis.database $scaling.redis.passwordSecret) -}}
{{- fail (printf "pool %s: autoscaling.redis.tls, database and passwordSecret need autoscaling.redis.address" .pool) -}}
{{- end -}}
{{- if and $scaling.redis.passwordSecret (not $scaling.redis.passwordSecret.name) -}}
{{- fail (printf "pool %s: autoscaling.redis.passwordSecret needs a name" .pool) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* A HorizontalPodAutoscaler on CPU does nothing for pods that request none. Takes values, name. */ -}}
{{- define "mamba.check.cpu" -}}
{{- if not (or (default dict .values.resources.requests).cpu (default dict .values.resources.limits).cpu) -}}
{{- fail (printf "%s: a HorizontalPodAutoscaler on CPU needs resources.requests.cpu" .name) -}}
{{- end -}}
{{- end }}

{{- define "mamba.check.api" -}}
{{- $api := .Values.api -}}
{{- $scaling := $api.autoscaling -}}
{{- if $scaling.enabled -}}
{{- include "mamba.check.cpu" (dict "values" $api "name" "api") -}}
{{- if gt (int $scaling.minReplicas) (int $scaling.maxReplicas) -}}
{{- fail (printf "api.autoscaling.minReplicas (%d) must not exceed maxReplicas (%d)" (int $scaling.minReplicas) (int $scaling.maxReplicas)) -}}
{{- end -}}
{{- end -}}
{{- if $api.ingress.enabled -}}
{{- if not $api.ingress.hosts }}{{ fail "api.ingress.enabled needs api.ingress.hosts" }}{{ end -}}
{{- range $entry := $api.ingress.tls -}}
{{- range $host := $entry.hosts -}}
{{- if not (or (has $host $api.ingress.hosts) (hasPrefix "*." $host)) -}}
{{- fail (printf "api.ingress.tls names the host %s, which is not in api.ingress.hosts" $host) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $auth := default dict .Values.config.auth -}}
{{- $public := (default dict .Values.config.metrics).public -}}
{{- $monitor := .Values.metrics.serviceMonitor -}}
{{- if and $monitor.enabled (ne (default "none" $auth.mode) "none") (not $monitor.authorization) (not $public) -}}
{{- fail (printf "metrics.serviceMonitor.authorization is missing: with config.auth.mode %s, the API rejects Prometheus. Set it, or config.metrics.public=true" $auth.mode) -}}
{{- end -}}
{{- end }}
