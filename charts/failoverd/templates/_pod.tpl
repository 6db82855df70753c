{{- define "failoverd.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "failoverd.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- /* The same for the check and for the daemon: what is checked is what starts. */}}
{{- define "failoverd.environment" -}}
- name: FAILOVERD_LOG
  value: {{ .Values.log | quote }}
{{- with include "failoverd.databaseSecret" . }}
{{- $secret := fromJson . }}
- name: FAILOVERD_DATABASE__URL
  valueFrom:
    secretKeyRef:
      name: {{ $secret.name }}
      key: {{ $secret.key }}
{{- with $.Values.database.keep }}
- name: FAILOVERD_DATABASE__KEEP
  value: {{ . | quote }}
{{- end }}
{{- end }}
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* failoverctl with the daemon's own certificate. */}}
{{- define "failoverd.clientCertificate" -}}
- name: FAILOVERCTL_TLS_CERT
  value: /etc/failoverd/tls/tls.crt
- name: FAILOVERCTL_TLS_KEY
  value: /etc/failoverd/tls/tls.key
- name: FAILOVERCTL_TLS_CA
  value: /etc/failoverd/tls/ca.crt
{{- end }}

{{- define "failoverd.mounts" -}}
- name: config
  mountPath: /etc/failoverd/config
  readOnly: true
- name: tls
  mountPath: /etc/failoverd/tls
  readOnly: true
{{- if .Values.switch.tls.existingSecret }}
- name: switch-tls
  mountPath: /etc/failoverd/switch-tls
  readOnly: true
{{- end }}
{{- if .Values.database.caConfigMap }}
- name: database-ca
  mountPath: /etc/failoverd/database-ca
  readOnly: true
{{- end }}
{{- end }}

{{- define "failoverd.volumes" -}}
- name: config
  configMap:
    name: {{ include "failoverd.fullname" . }}
- name: tls
  secret:
    secretName: {{ include "failoverd.tlsSecret" . }}
    defaultMode: 0440
{{- with .Values.switch.tls.existingSecret }}
- name: switch-tls
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- with .Values.database.caConfigMap }}
- name: database-ca
  configMap:
    name: {{ . }}
{{- end }}
{{- end }}
