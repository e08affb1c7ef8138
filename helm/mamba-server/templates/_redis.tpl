{{- /* The URL of the release's Redis. Empty if it is in an existing Secret. */ -}}
{{- define "mamba.redis.url" -}}
{{- if .Values.valkey.enabled -}}
redis://{{ include "mamba.fullname" . }}-valkey:6379/0
{{- else -}}
{{- .Values.redis.url -}}
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

