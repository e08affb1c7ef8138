{{- /* The URL of the release's Redis. Empty if it is in an existing Secret. */ -}}
{{- define "mamba.redis.url" -}}
{{- if .Values.valkey.enabled -}}
redis://{{ include "mamba.fullname" . }}-valkey:6379/0
{{- else -}}
{{- .Values.redis.url -}}
{{- end -}}
{{- end }}

{{- define "mamba.redis.check" -}}
{{- $sources := 0 -}}
{{- if .Values.valkey.enabled }}{{ $sources = add1 $sources }}{{ end -}}
{{- if .Values.redis.url }}{{ $sources = add1 $sources }}{{ end -}}
{{- if .Values.redis.existingSecret.name }}{{ $sources = add1 $sources }}{{ end -}}
{{- if ne (int $sources) 1 -}}
{{- fail "Set exactly one of redis.url, redis.existingSecret.name and (for trials) valkey.enabled=true" -}}
{{- end -}}
{{- with .Values.redis.existingSecret }}
{{- if and .streamsKey (or (not .name) $.Values.redis.streamsUrl) -}}
{{- fail "redis.existingSecret.streamsKey is a key of redis.existingSecret.name, in place of redis.streamsUrl" -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* Metadata of KEDA's Redis trigger. */ -}}
{{- define "mamba.redis.trigger" -}}
{{- $configured := .scaling.redis -}}
{{- $url := include "mamba.redis.url" .root -}}
{{- if $configured.address }}
address: {{ $configured.address | quote }}
enableTLS: {{ $configured.tls | quote }}
databaseIndex: {{ $configured.database | quote }}
{{- else if hasPrefix "redis" $url }}
{{- $parts := urlParse $url }}
{{- if contains "%" (default "" $parts.userinfo) }}
{{- fail "KEDA needs the plain password, but redis.url has it percent-encoded: set worker.autoscaling.redis.address and worker.autoscaling.redis.passwordSecret" }}
{{- end }}
address: {{ ternary $parts.host (printf "%s:6379" $parts.host) (regexMatch ":[0-9]+$" $parts.host) | quote }}
enableTLS: {{ eq $parts.scheme "rediss" | quote }}
databaseIndex: {{ default "0" (trimPrefix "/" $parts.path) | quote }}
{{- else }}
{{- fail "KEDA's Redis trigger needs worker.autoscaling.redis.address (host:port), because the URL is in an existing Secret, a socket or a Sentinel URL; or set worker.autoscaling.trigger=prometheus" }}
{{- end }}
{{- end }}

{{- /* User and password of redis.url, as userinfo. */ -}}
{{- define "mamba.redis.userinfo" -}}
{{- if and .Values.redis.url (hasPrefix "redis" .Values.redis.url) -}}
{{- (urlParse .Values.redis.url).userinfo -}}
{{- end -}}
{{- end }}

{{- /* The ports in a URL, separated by spaces. A primary behind Sentinels is assumed to use 6379. */ -}}
{{- define "mamba.redis.ports" -}}
{{- $url := . -}}
{{- $default_port := ternary "26379" "6379" (hasPrefix "sentinel" $url) -}}
{{- $ports := list -}}
{{- range splitList "," (regexReplaceAll "[/?].*$" (regexReplaceAll "^[a-z]+://([^/]*@)?" $url "") "") -}}
{{- $ports = append $ports (default $default_port (regexFind "[0-9]+$" (regexFind ":[0-9]+$" .))) -}}
{{- end -}}
{{- if hasPrefix "sentinel" $url }}{{ $ports = append $ports "6379" }}{{ end -}}
{{- join " " $ports -}}
{{- end }}
