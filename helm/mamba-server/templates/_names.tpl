{{- define "mamba.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "mamba.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "mamba.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "mamba.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "mamba.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "mamba.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{- /* Selector of the pods of a component. It must never change. Takes root, component, pool. */ -}}
{{- define "mamba.selector" -}}
app.kubernetes.io/name: {{ include "mamba.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .pool }}
mamba-server/pool: {{ . }}
{{- end }}
{{- end }}

{{- /* Pod labels have no versions, so that a new chart version alone rolls no pods. */ -}}
{{- define "mamba.podLabels" -}}
{{ include "mamba.selector" . }}
{{- with merge (deepCopy .values.podLabels) .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Labels of an object. Takes root, component, pool, labels. */ -}}
{{- define "mamba.labels" -}}
{{ include "mamba.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: mamba-server
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with merge (deepCopy (default dict .labels)) .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* The reference of an image. Takes root, image. */ -}}
{{- define "mamba.image" -}}
{{- $values := .root.Values.image -}}
{{- with $values.registry }}{{ trimSuffix "/" . }}/{{ end }}{{ .image.repository -}}
{{- if .image.digest -}}
@{{ .image.digest }}
{{- else -}}
:{{ coalesce .image.tag $values.tag .root.Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- /* A dictionary as YAML, without the keys that the values set to null. */ -}}
{{- define "mamba.compact" -}}
{{- $kept := dict -}}
{{- range $name, $value := . -}}
{{- if not (kindIs "invalid" $value) }}{{ $_ := set $kept $name $value }}{{ end -}}
{{- end -}}
{{- toYaml $kept -}}
{{- end }}

{{- /* The settings. Without authentication, the API serves known hosts only: the Service's names, those of
the Ingress, and config.auth.hosts. */ -}}
{{- define "mamba.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $auth := default dict $config.auth -}}
{{- if eq (default "none" $auth.mode) "none" -}}
{{- $name := include "mamba.fullname" . -}}
{{- $hosts := list $name -}}
{{- range list "" ".svc" ".svc.cluster.local" }}{{ $hosts = append $hosts (printf "%s.%s%s" $name $.Release.Namespace .) }}{{ end -}}
{{- if .Values.api.ingress.enabled }}{{ $hosts = concat $hosts .Values.api.ingress.hosts }}{{ end -}}
{{- $_ := set $auth "hosts" (concat $hosts (default list $auth.hosts) | uniq) -}}
{{- $_ := set $config "auth" $auth -}}
{{- end -}}
{{- toYaml $config -}}
{{- end }}
