{{/* Names, labels and images. */}}

{{- define "headgate.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "headgate.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "headgate.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "headgate.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "headgate.controlPlane" -}}{{ include "headgate.fullname" . }}-controller{{- end }}
{{- define "headgate.namespace" -}}{{ .Values.namespaceOverride | default .Release.Namespace }}{{- end }}
{{/* Objects without a namespace: two releases of one name in two namespaces do not meet. */}}
{{- define "headgate.clusterName" -}}{{ printf "%s-%s" (include "headgate.fullname" .) (include "headgate.namespace" .) | trunc 63 | trimSuffix "-" }}{{- end }}

{{- define "headgate.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "headgate.fullname" .) }}{{ else }}{{ .Values.serviceAccount.name | default "default" }}{{ end -}}
{{- end }}
{{- define "headgate.controlPlaneServiceAccount" -}}
{{- with .Values.controlPlane.serviceAccount }}{{ if .create }}{{ .name | default (include "headgate.controlPlane" $) }}{{ else }}{{ .name | default "default" }}{{ end }}{{ end -}}
{{- end }}

{{/* Selectors never change: they are immutable. */}}
{{- define "headgate.selector" -}}
app.kubernetes.io/name: {{ include "headgate.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "headgate.labels" -}}
{{ include "headgate.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: headgate
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* metadata of an object: (dict "root" $ "component" NAME "name" NAME "labels" MAP "annotations" MAP "cluster" true) */}}
{{- define "headgate.metadata" -}}
name: {{ .name }}
{{- if not .cluster }}
namespace: {{ .namespace | default (include "headgate.namespace" .root) }}
{{- end }}
labels:
  {{- include "headgate.labels" . | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* (dict "root" $ "image" VALUES) */}}
{{- define "headgate.image" -}}
{{- $registry := .root.Values.global.image.registry | default .image.registry -}}
{{- $repository := .image.repository | default (printf "%s%s" (ternary "" (printf "%s/" $registry) (empty $registry)) .image.image) -}}
{{- $repository -}}
{{- if .image.digest }}@{{ .image.digest }}{{ else }}:{{ .image.tag | default .root.Chart.AppVersion }}{{ end -}}
{{- end }}

{{/* (dict "root" $ "component" NAME "constraints" LIST): what is given, or spread over nodes and zones as far as possible. */}}
{{- define "headgate.spread" -}}
{{- if .constraints -}}
{{ toYaml .constraints }}
{{- else -}}
{{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- maxSkew: 1
  topologyKey: {{ $key }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "headgate.selector" $ | nindent 6 }}
{{- end }}
{{- end }}
{{- end }}

{{/* Port names have 15 characters: letters, digits, dashes. */}}
{{- define "headgate.portName" -}}
{{- printf "%s%s-%s" (ternary "" (printf "%s-" .root.Values.portNamePrefix) (empty .root.Values.portNamePrefix)) .port .protocol -}}
{{- end }}
