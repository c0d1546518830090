#!/bin/sh
# Fills the caches of a service that has just been started: long enough to kill somebody in the middle of it.
set -eu
echo "$ECHELON_HOST $ECHELON_PHASE $ECHELON_ROLLOUT $ECHELON_ATTEMPT" >>../../../phases.log
for shelf in books music toys; do
    echo "warming $shelf"
    sleep 0.3
done
