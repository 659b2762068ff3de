#!/bin/sh
# Caddy knows passwords by their hashes; made here, so that .env holds each only once.
set -eu
OPERATOR_HASH=$(printf '%s\n' "$OPERATOR_PASSWORD" | caddy hash-password)
VIEWER_HASH=$(printf '%s\n' "$VIEWER_PASSWORD" | caddy hash-password)
export OPERATOR_HASH VIEWER_HASH
unset OPERATOR_PASSWORD VIEWER_PASSWORD
exec caddy run --config /deploy/Caddyfile --adapter caddyfile
