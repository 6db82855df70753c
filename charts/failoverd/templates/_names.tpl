{{- define "failoverd.fullname" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 46 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 46 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "failoverd.selector" -}}
app.kubernetes.io/name: failoverd
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "failoverd.labels" -}}
{{- include "failoverd.refusals" . -}}
{{ include "failoverd.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: {{ .Values.config.fleet }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "failoverd.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "failoverd.fullname" .) }}{{ else }}{{ .Values.serviceAccount.name | default "default" }}{{ end }}
{{- end }}

{{- define "failoverd.image" -}}
{{- with .Values.image }}{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}{{ end }}
{{- end }}

{{- define "failoverd.tlsSecret" -}}
{{ .Values.tls.existingSecret | default (printf "%s-tls" (include "failoverd.fullname" .)) }}
{{- end }}

{{- /* Name and key of the Secret with the database's URL; empty without a database. */}}
{{- define "failoverd.databaseSecret" -}}
{{- with .Values.database }}
{{- if .existingSecret.name }}{{ dict "name" .existingSecret.name "key" .existingSecret.key | toJson }}
{{- else if .url }}{{ dict "name" (printf "%s-database" (include "failoverd.fullname" $)) "key" "url" | toJson }}
{{- end }}
{{- end }}
{{- end }}

{{- /* This daemon's own URL, as its peers have it. */}}
{{- define "failoverd.ownUrl" -}}
{{- include "failoverd.refusals" . -}}
{{ (get .Values.config.peers .Values.config.region).url }}
{{- end }}

{{- /* The port of a URL. */}}
{{- define "failoverd.portOf" -}}
{{- $authority := (urlParse .).host }}
{{- regexFind ":[0-9]+$" $authority | trimPrefix ":" | default "443" }}
{{- end }}

{{- define "failoverd.hasSwitch" -}}
{{- if ne (kindOf .Values.config.advertise.switch) "string" }}yes{{ end }}
{{- end }}

{{- define "failoverd.switchIsHttps" -}}
{{- if and (include "failoverd.hasSwitch" .) (get .Values.config.advertise.switch "https" | toString | ne "false") }}yes{{ end }}
{{- end }}
