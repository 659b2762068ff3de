#!/bin/sh
# Prometheus reads the key by which it asks the API from a file: its configuration takes no variables.
set -eu
umask 077
printf '%s' "$API_OPERATOR_KEY" >/tmp/operator-key
exec /bin/prometheus "$@"
