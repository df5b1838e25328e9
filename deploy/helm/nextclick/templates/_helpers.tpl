{{- define "nextclick.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "nextclick.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "nextclick.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{ include "nextclick.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "nextclick.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "nextclick.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "nextclick.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- /* A value as the text of a variable: whole numbers stay whole, tables become JSON. */ -}}
{{- define "nextclick.text" -}}
{{- if kindIs "map" . -}}
{{- toJson . -}}
{{- else if kindIs "float64" . -}}
{{- if eq (floor .) . -}}{{- printf "%.0f" . -}}{{- else -}}{{- . -}}{{- end -}}
{{- else -}}
{{- . -}}
{{- end -}}
{{- end -}}

{{- /* What a command needs to find Kafka and its settings. */ -}}
{{- define "nextclick.env" -}}
- name: NEXTCLICK_BOOTSTRAP_SERVERS
  value: {{ .Values.kafka.bootstrapServers | quote }}
- name: NEXTCLICK_SECURITY_PROTOCOL
  value: {{ .Values.kafka.securityProtocol }}
{{- with .Values.kafka.sasl }}
{{- if hasPrefix "SASL" $.Values.kafka.securityProtocol }}
- name: NEXTCLICK_SASL_MECHANISM
  value: {{ .mechanism }}
- name: NEXTCLICK_SASL_USERNAME
  valueFrom:
    secretKeyRef:
      name: {{ .existingSecret }}
      key: {{ .usernameKey }}
- name: NEXTCLICK_SASL_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ .existingSecret }}
      key: {{ .passwordKey }}
{{- end }}
{{- end }}
{{- with .Values.kafka.tls }}
{{- if or .caSecret .caConfigMap }}
- name: NEXTCLICK_SSL_CA_FILE
  value: /etc/nextclick/ca/{{ .caKey }}
{{- end }}
{{- if .clientSecret }}
- name: NEXTCLICK_SSL_CERT_FILE
  value: /etc/nextclick/client/tls.crt
- name: NEXTCLICK_SSL_KEY_FILE
  value: /etc/nextclick/client/tls.key
{{- end }}
{{- end }}
{{- range $key, $value := .Values.settings }}
- name: NEXTCLICK_{{ upper $key }}
  value: {{ include "nextclick.text" $value | quote }}
{{- end }}
{{- end -}}

{{- /* The folders of certificates, and /tmp, the one place outside of the volume that is written. */ -}}
{{- define "nextclick.volumeMounts" -}}
- name: tmp
  mountPath: /tmp
{{- with .Values.kafka.tls }}
{{- if or .caSecret .caConfigMap }}
- name: ca
  mountPath: /etc/nextclick/ca
  readOnly: true
{{- end }}
{{- if .clientSecret }}
- name: client
  mountPath: /etc/nextclick/client
  readOnly: true
{{- end }}
{{- end }}
{{- end -}}

{{- define "nextclick.volumes" -}}
- name: tmp
  emptyDir:
    sizeLimit: 64Mi
{{- with .Values.kafka.tls }}
{{- if .caSecret }}
- name: ca
  secret:
    secretName: {{ .caSecret }}
{{- else if .caConfigMap }}
- name: ca
  configMap:
    name: {{ .caConfigMap }}
{{- end }}
{{- if .clientSecret }}
- name: client
  secret:
    secretName: {{ .clientSecret }}
    defaultMode: 0440
{{- end }}
{{- end }}
{{- end -}}
