#!/bin/sh
# mongod takes its key from a file that nobody else may read; here it lies in memory only.
set -eu
umask 077
printf '%s\n' "$MONGO_KEY" > /run/mongo/key
unset MONGO_KEY
exec mongod --dbpath /data/db --bind_ip_all --replSet crypto --keyFile /run/mongo/key \
  --wiredTigerCacheSizeGB "$MONGO_CACHE_GB" --quiet \
  --setParameter diagnosticDataCollectionEnabled=false
