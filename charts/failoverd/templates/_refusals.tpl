{{- /* What the schema cannot say: fields that must fit each other. All problems in one report. */}}
{{- define "failoverd.refusals" -}}
{{- $found := list }}
{{- $v := .Values }}
{{- $region := $v.config.region }}
{{- if ne (int $v.replicas) 1 }}
{{- $found = append $found (printf "replicas: %v: a Region has one vote, so one daemon; several in one Region would outvote the others and die together with it (docs/adr/0013)" $v.replicas) }}
{{- end }}
{{- if not (hasKey $v.config.peers $region) }}
{{- $found = append $found (printf "config.peers: must name every daemon of the fleet, this one (%s) included" $region) }}
{{- else if ne (get $v.config.peers $region).role $v.config.role }}
{{- $found = append $found (printf "config.role: is %s, but config.peers.%s.role is %s" $v.config.role $region (get $v.config.peers $region).role) }}
{{- end }}
{{- $members := 0 }}
{{- range $v.config.peers }}{{ if eq .role "member" }}{{ $members = add1 $members }}{{ end }}{{ end }}
{{- if lt (int $members) 2 }}
{{- $found = append $found "config.peers: has fewer than two members: there is nowhere to fail over to" }}
{{- end }}
{{- if and $v.database.url $v.database.existingSecret.name }}
{{- $found = append $found "database: has both url and existingSecret.name: give one" }}
{{- end }}
{{- $database := or $v.database.url $v.database.existingSecret.name }}
{{- if and (eq $v.config.role "member") (not $database) }}
{{- $found = append $found "database: a member keeps the fleet's history: give existingSecret.name (or url)" }}
{{- end }}
{{- if and $v.tls.existingSecret $v.tls.certManager.issuer.name }}
{{- $found = append $found "tls: has both existingSecret and certManager.issuer: give one" }}
{{- else if not (or $v.tls.existingSecret $v.tls.certManager.issuer.name) }}
{{- $found = append $found "tls: daemons talk over TLS: give existingSecret or certManager.issuer" }}
{{- end }}
{{- $switchTls := and $v.switch.tls.certificateArn $v.switch.tls.existingSecret }}
{{- if $switchTls }}
{{- $found = append $found "switch.tls: has both certificateArn and existingSecret: TLS ends in one place" }}
{{- end }}
{{- $switchTls = or $v.switch.tls.certificateArn $v.switch.tls.existingSecret }}
{{- if and (include "failoverd.switchIsHttps" .) (not $switchTls) }}
{{- $found = append $found "switch.tls: config.advertise.switch is asked over TLS: give certificateArn or existingSecret, or say https: false there" }}
{{- else if and $switchTls (not (include "failoverd.switchIsHttps" .)) }}
{{- $found = append $found "switch.tls: is of no use: config.advertise.switch is not asked over TLS" }}
{{- end }}
{{- if and $v.switch.tls.certificateArn (ne $v.switch.service.type "LoadBalancer") }}
{{- $found = append $found "switch.tls.certificateArn: only a load balancer can show it: switch.service.type is not LoadBalancer" }}
{{- end }}
{{- if $v.networkPolicy.enabled }}
{{- if not $v.networkPolicy.peerCidrs }}
{{- $found = append $found "networkPolicy.peerCidrs: is empty: without the VPCs of all Regions no peer is reached and the fleet cannot form" }}
{{- end }}
{{- if and $database (not $v.networkPolicy.databaseCidrs) }}
{{- $found = append $found "networkPolicy.databaseCidrs: is empty: the history's database would never be reached" }}
{{- end }}
{{- end }}
{{- if and $v.networkPolicy.enabled $v.monitoring.serviceMonitor.enabled (include "failoverd.hasOperator" .) (not $v.networkPolicy.ops) }}
{{- $found = append $found "networkPolicy.ops: is empty: Prometheus would not be let in; name it, or say monitoring.serviceMonitor.enabled: false" }}
{{- end }}
{{- $alerts := list }}
{{- range (.Files.Get "files/alerts.yaml" | fromYaml).groups }}{{ range .rules }}{{ with .alert }}{{ $alerts = append $alerts . }}{{ end }}{{ end }}{{ end }}
{{- range $name, $_ := $v.monitoring.rules.overrides }}
{{- if not (has $name $alerts) }}
{{- $found = append $found (printf "monitoring.rules.overrides: there is no alert %s: docs/runbook.md has them all" $name) }}
{{- end }}
{{- end }}
{{- range $v.env }}
{{- if or (hasPrefix "FAILOVERD_" .name) (eq "RUST_LOG" .name) }}
{{- $found = append $found (printf "env: %s is set by the chart: say it in config, database or log, where it is checked" .name) }}
{{- else if regexMatch "^AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN)$" .name }}
{{- $found = append $found (printf "env: %s: no keys: identity comes from Pod Identity or IRSA (identity.type)" .name) }}
{{- end }}
{{- end }}
{{- if $found }}
{{- fail (printf "\n%d of the values cannot be used:\n- %s\n" (len $found) (join "\n- " $found)) }}
{{- end }}
{{- end }}
