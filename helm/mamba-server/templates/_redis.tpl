{{- /* The one place that the release's Redis is at, as a URL; empty where a Secret of yours has it. */ -}}
{{- define "mamba.redis.url" -}}
{{- if .Values.valkey.enabled -}}
redis://{{ include "mamba.fullname" . }}-valkey:6379/0
{{- else -}}
{{- .Values.redis.url -}}
{{- end -}}
{{- end }}

{{- define "mamba.redis.check" -}}
{{- $ways := 0 -}}
{{- if .Values.valkey.enabled }}{{ $ways = add1 $ways }}{{ end -}}
{{- if .Values.redis.url }}{{ $ways = add1 $ways }}{{ end -}}
{{- if .Values.redis.existingSecret.name }}{{ $ways = add1 $ways }}{{ end -}}
{{- if ne (int $ways) 1 -}}
{{- fail "Set exactly one of redis.url, redis.existingSecret.name and (for trials) valkey.enabled=true" -}}
{{- end -}}
{{- with .Values.redis.existingSecret }}
{{- if and .streamsKey (or (not .name) $.Values.redis.streamsUrl) -}}
{{- fail "redis.existingSecret.streamsKey is a key of redis.existingSecret.name, in place of redis.streamsUrl" -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* What KEDA needs to know of it. */ -}}
{{- define "mamba.redis.trigger" -}}
{{- $given := .scaling.redis -}}
{{- $url := include "mamba.redis.url" .root -}}
{{- if $given.address }}
address: {{ $given.address | quote }}
enableTLS: {{ $given.tls | quote }}
databaseIndex: {{ $given.database | quote }}
{{- else if hasPrefix "redis" $url }}
{{- $parts := urlParse $url }}
{{- if contains "%" (default "" $parts.userinfo) }}
{{- fail "KEDA needs the password as it is, and redis.url has it percent-encoded: set worker.autoscaling.redis.address and worker.autoscaling.redis.passwordSecret" }}
{{- end }}
address: {{ ternary $parts.host (printf "%s:6379" $parts.host) (regexMatch ":[0-9]+$" $parts.host) | quote }}
enableTLS: {{ eq $parts.scheme "rediss" | quote }}
databaseIndex: {{ default "0" (trimPrefix "/" $parts.path) | quote }}
{{- else }}
{{- fail "KEDA's Redis trigger needs worker.autoscaling.redis.address (host:port), as the URL is in a Secret of yours, a socket or Sentinels'; or set worker.autoscaling.trigger=prometheus" }}
{{- end }}
{{- end }}

{{- /* User and password of redis.url, as userinfo. */ -}}
{{- define "mamba.redis.userinfo" -}}
{{- if and .Values.redis.url (hasPrefix "redis" .Values.redis.url) -}}
{{- (urlParse .Values.redis.url).userinfo -}}
{{- end -}}
{{- end }}

{{- /* The ports that a URL leads to, with blanks between. A primary that Sentinels name has the usual one. */ -}}
{{- define "mamba.redis.ports" -}}
{{- $url := . -}}
{{- $usual := ternary "26379" "6379" (hasPrefix "sentinel" $url) -}}
{{- $ports := list -}}
{{- range splitList "," (regexReplaceAll "[/?].*$" (regexReplaceAll "^[a-z]+://([^/]*@)?" $url "") "") -}}
{{- $ports = append $ports (default $usual (regexFind "[0-9]+$" (regexFind ":[0-9]+$" .))) -}}
{{- end -}}
{{- if hasPrefix "sentinel" $url }}{{ $ports = append $ports "6379" }}{{ end -}}
{{- join " " $ports -}}
{{- end }}
