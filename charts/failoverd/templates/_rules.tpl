{{- define "failoverd.hasOperator" -}}
{{- if .Capabilities.APIVersions.Has "monitoring.coreos.com/v1" }}yes{{ end }}
{{- end }}

{{- /* The groups of files/alerts.yaml with what the values say. Its text is no template: braces in it are Prometheus' own. */}}
{{- define "failoverd.ruleGroups" -}}
{{- $rules := .Values.monitoring.rules }}
{{- $own := printf "absent(failoverd_build_info{fleet=%q,daemon=%q})" .Values.config.fleet .Values.config.region }}
{{- $groups := list }}
{{- range $group := (.Files.Get "files/alerts.yaml" | fromYaml).groups }}
{{- $kept := list }}
{{- range $rule := $group.rules }}
{{- $over := dict }}
{{- if $rule.alert }}
{{- $over = get $rules.overrides $rule.alert | default dict }}
{{- $labels := merge (dict) $rule.labels $rules.alertLabels }}
{{- with $over.severity }}{{ $_ := set $labels "severity" . }}{{ end }}
{{- $_ := set $rule "labels" $labels }}
{{- with $over.for }}{{ $_ := set $rule "for" . }}{{ end }}
{{- with $rules.runbookUrl }}{{ $_ := set $rule.annotations "runbook_url" (printf "%s/%s" (trimSuffix "/" .) $rule.annotations.runbook_url) }}{{ end }}
{{- /* Of all fleets that a Prometheus reads, this release speaks for its own daemon. */}}
{{- $_ := set $rule "expr" ($rule.expr | replace "absent(failoverd_build_info)" $own) }}
{{- end }}
{{- if ne (get $over "enabled" | toString) "false" }}{{ $kept = append $kept $rule }}{{ end }}
{{- end }}
{{- $_ := set $group "rules" $kept }}
{{- if $kept }}{{ $groups = append $groups $group }}{{ end }}
{{- end }}
{{- toYaml $groups }}
{{- end }}
