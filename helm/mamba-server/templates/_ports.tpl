{{- /* The ports that the pods connect to, as JSON arrays. NetworkPolicies allow them. */ -}}

{{- /* Redis: of the URLs, and those that the values list. Fails if the values do not show a port. */ -}}
{{- define "mamba.ports.redis" -}}
{{- $values := .Values -}}
{{- $url := include "mamba.redis.url" . -}}
{{- $ports := concat (include "mamba.ports.ofRedis" $url | fromJsonArray) (include "mamba.ports.ofRedis" $values.redis.streamsUrl | fromJsonArray) -}}
{{- $listed := $values.networkPolicy.redisPorts -}}
{{- $primary := regexFind "[0-9]+$" $values.worker.autoscaling.redis.address -}}
{{- if $primary }}{{ $ports = append $ports $primary }}{{ end -}}
{{- $hidden := "" -}}
{{- if and (not $primary) (not $url) }}{{ $hidden = "the URL in redis.existingSecret" }}{{ end -}}
{{- if and (not $primary) (hasPrefix "sentinel" $url) }}{{ $hidden = "the primary behind the Sentinels of redis.url" }}{{ end -}}
{{- if hasPrefix "sentinel" $values.redis.streamsUrl }}{{ $hidden = "the primary behind the Sentinels of redis.streamsUrl" }}{{ end -}}
{{- if $values.redis.existingSecret.streamsKey }}{{ $hidden = "the URL in redis.existingSecret.streamsKey" }}{{ end -}}
{{- if and $hidden (not $listed) -}}
{{- fail (printf "networkPolicy.enabled needs networkPolicy.redisPorts: the chart cannot see the port of %s. List all ports of Redis, such as [6379]" $hidden) -}}
{{- end -}}
{{- range $listed }}{{ $ports = append $ports (toString .) }}{{ end -}}
{{- $ports | uniq | toJson -}}
{{- end }}

{{- /* The ports in a URL of Redis. A socket has none. */ -}}
{{- define "mamba.ports.ofRedis" -}}
{{- $ports := list -}}
{{- if and . (not (hasPrefix "unix" .)) -}}
{{- $default_port := ternary "26379" "6379" (hasPrefix "sentinel" .) -}}
{{- range splitList "," (regexReplaceAll "[/?].*$" (regexReplaceAll "^[a-z]+://([^/]*@)?" . "") "") -}}
{{- $ports = append $ports (default $default_port (regexFind "[0-9]+$" (regexFind ":[0-9]+$" .))) -}}
{{- end -}}
{{- end -}}
{{- toJson $ports -}}
{{- end }}

{{- /* HTTP: 443, and those of the addresses that the API connects to: key sets, the trace collector, proxies. */ -}}
{{- define "mamba.ports.http" -}}
{{- $sources := list .Values.config.auth .Values.tracing.endpoint .Values.secret.values .Values.api.extraEnv -}}
{{- $ports := list "443" -}}
{{- range splitList " " (include "mamba.urls" $sources) | compact -}}
{{- $default_port := ternary "80" "443" (hasPrefix "http:" .) -}}
{{- $ports = append $ports (default $default_port (regexFind "[0-9]+$" (regexFind ":[0-9]+$" (urlParse .).host))) -}}
{{- end -}}
{{- $ports | uniq | toJson -}}
{{- end }}

{{- /* All HTTP URLs in a value, separated by spaces. */ -}}
{{- define "mamba.urls" -}}
{{- if kindIs "map" . -}}
{{- range $_, $value := . }}{{ include "mamba.urls" $value }} {{ end -}}
{{- else if kindIs "slice" . -}}
{{- range . }}{{ include "mamba.urls" . }} {{ end -}}
{{- else if kindIs "string" . -}}
{{- regexFind "^https?://[^ \\s]+$" . -}}
{{- end -}}
{{- end }}
