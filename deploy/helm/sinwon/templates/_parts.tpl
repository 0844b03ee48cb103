{{- /* What several manifests share. */ -}}

{{- define "sinwon.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "sinwon.labels" -}}
{{ include "sinwon.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- end -}}

{{- define "sinwon.selector" -}}
app.kubernetes.io/name: sinwon
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "sinwon.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- /* A pod of the "restricted" Pod Security Standard, in front of its containers. */ -}}
{{- define "sinwon.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
volumes:
  - name: settings
    configMap: {name: {{ include "sinwon.name" . }}{{ .settingsSuffix }}}
  - name: public
    configMap: {name: {{ .Values.public.existingConfigMap }}}
  - name: secrets
    secret:
      secretName: {{ .Values.secrets.existingSecret }}
      defaultMode: 0440
  - name: tmp
    emptyDir: {medium: Memory, sizeLimit: 64Mi}
{{- end -}}

{{- define "sinwon.container" -}}
image: {{ include "sinwon.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
env:
  - {name: IDP_CONFIG, value: /etc/sinwon/settings/sinwon.toml}
  - {name: IDP_SERVER__BIND, value: "0.0.0.0:8080"}
  - {name: IDP_SERVER__MONITOR_BIND, value: "0.0.0.0:9090"}
  - {name: IDP_DATABASE__URL_FILE, value: /etc/sinwon/secrets/{{ .Values.secrets.keys.databaseUrl }}}
  - {name: IDP_STORE__URL_FILE, value: /etc/sinwon/secrets/{{ .Values.secrets.keys.storeUrl }}}
  - {name: IDP_SECRETS__KEY_ENCRYPTION_KEY_FILE, value: /etc/sinwon/secrets/{{ .Values.secrets.keys.keyEncryptionKey }}}
  - {name: IDP_SECRETS__PEPPER_FILE, value: /etc/sinwon/secrets/{{ .Values.secrets.keys.pepper }}}
  - {name: IDP_WALLET__PRIVATE_KEY_FILE, value: /etc/sinwon/secrets/{{ .Values.secrets.keys.walletKey }}}
volumeMounts:
  - {name: settings, mountPath: /etc/sinwon/settings, readOnly: true}
  - {name: public, mountPath: /etc/sinwon/public, readOnly: true}
  - {name: secrets, mountPath: /etc/sinwon/secrets, readOnly: true}
  - {name: tmp, mountPath: /tmp}
{{- end -}}
