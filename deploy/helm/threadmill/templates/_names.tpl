{{- define "threadmill.labels" -}}
app.kubernetes.io/name: threadmill
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
