{{- define "router.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}-router
{{- end }}

{{- define "router.selector" -}}
app.kubernetes.io/name: mysql-query-router
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "router.labels" -}}
{{ include "router.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "router.secret" -}}
{{- if .Values.secretEnv.existing }}
{{- .Values.secretEnv.existing }}
{{- else if .Values.secretEnv.create }}
{{- include "router.name" . }}
{{- end }}
{{- end }}
