{{- /* Half of the container's memory: rewriting the append-only file copies pages that change. */ -}}
{{- define "mamba.valkey.maxmemory" -}}
{{- $number := regexFind "^[0-9]+" . -}}
{{- $unit := dict "Mi" 1048576 "Gi" 1073741824 -}}
{{- div (mul (int64 $number) (get $unit (trimPrefix $number .))) 2 -}}
{{- end }}
