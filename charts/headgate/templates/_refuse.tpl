{{/* Values that would do something else than who set them thinks. Included by the first template that is rendered. */}}

{{- define "headgate.refuse" -}}
{{- range $path, $row := .Files.Get "ingress-nginx.yaml" | fromYaml }}
  {{- $here := $.Values }}
  {{- range $name := splitList "." $path }}
    {{- if kindIs "map" $here }}{{ $here = get $here $name }}{{ else }}{{ $here = "" }}{{ end }}
  {{- end }}
  {{- $off := and (kindIs "map" $here) (hasKey $here "enabled") (not (get $here "enabled")) }}
  {{- $accepted := has $here ($row.accepted | default list) }}
  {{- $given := or (not (empty $here)) (and (kindIs "bool" $here) (has true ($row.accepted | default list))) }}
  {{- if and $given (not $off) (not $accepted) }}
    {{- fail (printf "\n\n%s: Headgate does not have this value of ingress-nginx: %s\n" $path $row.message) }}
  {{- end }}
{{- end }}
{{- $flags := list "default-ssl-certificate" "default-backend-service" "publish-status-address" "disable-catch-all" "watch-ingress-without-class" }}
{{- range $flag, $_ := .Values.controller.extraArgs }}
  {{- if not (has $flag $flags) }}
    {{- fail (printf "\n\ncontroller.extraArgs.%s: Headgate does not have this flag of ingress-nginx; it has %s. Flags of our own: controlPlane.extraArgs, controller.proxyArgs\n" $flag (join ", " $flags)) }}
  {{- end }}
{{- end }}
{{- range $image := list .Values.controller.image.image .Values.controller.image.repository }}
  {{- if contains "ingress-nginx" $image }}{{ fail "\n\ncontroller.image names an image of ingress-nginx; remove it, or name one of headgate\n" }}{{ end }}
{{- end }}
{{- if and .Values.controller.autoscaling.enabled (eq .Values.controller.kind "DaemonSet") }}
  {{- fail "\n\ncontroller.autoscaling: a DaemonSet has one Pod for each node; use controller.kind Deployment\n" }}
{{- end }}
{{- $taken := list (int .Values.controller.containerPort.http) (int .Values.controller.containerPort.https) (int .Values.controller.metrics.port) }}
{{- if ne (len (uniq $taken)) 3 }}{{ fail "\n\ncontroller.containerPort.http, .https and controller.metrics.port must be three different ports\n" }}{{ end }}
{{- range $port, $_ := .Values.tcp }}
  {{- if has (int $port) $taken }}{{ fail (printf "\n\ntcp: port %v is one of the proxies' own; see controller.containerPort and controller.metrics.port\n" $port) }}{{ end }}
{{- end }}
{{- end }}
