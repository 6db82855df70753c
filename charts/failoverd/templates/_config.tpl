{{- /* The daemon's file: what the values say, and what the chart decides. */}}
{{- define "failoverd.config" -}}
{{- $any := ternary "[::]" "0.0.0.0" (eq .Values.ipFamily "IPv6") }}
{{- $own := dict
    "data_dir" "/var/lib/failoverd/data"
    "listen" (dict "grpc" (printf "%s:7443" $any) "switch" (printf "%s:8080" $any) "ops" (printf "%s:9090" $any))
    "tls" (dict "cert" "/etc/failoverd/tls/tls.crt" "key" "/etc/failoverd/tls/tls.key" "ca" "/etc/failoverd/tls/ca.crt") }}
{{- if .Values.switch.tls.existingSecret }}
{{- $_ := set $own "switch" (dict "tls" (dict "cert" "/etc/failoverd/switch-tls/tls.crt" "key" "/etc/failoverd/switch-tls/tls.key")) }}
{{- end }}
{{- toYaml (mergeOverwrite (deepCopy .Values.config) $own) }}
{{- end }}
