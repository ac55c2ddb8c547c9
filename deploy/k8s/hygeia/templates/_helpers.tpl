{{/* Every object of a release is called RELEASE-ROLE, or RELEASE for what the roles share. */}}
{{- define "hygeia.name" -}}
{{- printf "%s-%s" .root.Release.Name .role | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The labels that never change, by which pods are found. */}}
{{- define "hygeia.selector" -}}
app.kubernetes.io/name: hygeia
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .role }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{- define "hygeia.labels" -}}
{{ include "hygeia.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "hygeia.image" -}}
{{- $image := .Values.image -}}
{{- $image.repository }}:{{ $image.tag | default .Chart.AppVersion }}
{{- with $image.digest }}@{{ . }}{{ end -}}
{{- end -}}

{{/* The secrets of a role as (mount, secret, environment variable) of one key file each; takes role and settings. */}}
{{- define "hygeia.secrets" -}}
{{- $signer := dict "oracle" "HYGEIA_ORACLE_KEY_FILE" "steward" "HYGEIA_SIGNER_KEY_FILE" -}}
{{- $network := dict "oracle" "HYGEIA_NETWORK_KEY_FILE" "gateway" "HYGEIA_NETWORK_KEY_FILE" -}}
{{- with .settings.signerSecret }}
- { mount: signer, secret: {{ . }}, variable: {{ get $signer $.role }} }
{{- end }}
{{- with .settings.networkSecret }}
- { mount: network, secret: {{ . }}, variable: {{ get $network $.role }} }
{{- end }}
{{- end -}}
