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
{{- $config := mergeOverwrite (deepCopy .Values.config) $own }}
{{- /* Helm reads numbers as floating: a million would be written 1e+06. */}}
{{- range $key, $value := get $config "switch" | default dict }}
{{- if hasPrefix "max_" $key }}{{ $_ := set $config.switch $key (int64 $value) }}{{ end }}
{{- end }}
{{- toYaml $config }}
{{- end }}
