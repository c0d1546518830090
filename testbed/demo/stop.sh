#!/bin/sh
# Ends the service and waits until it is gone; content when it does not run.
set -eu
echo "$ECHELON_HOST $ECHELON_PHASE $ECHELON_ROLLOUT $ECHELON_ATTEMPT" >>../../../phases.log
[ -f service.pid ] || exit 0
pid=$(cat service.pid)
kill "$pid" 2>/dev/null || true
while [ -e "/proc/$pid" ] && ! grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null; do
    sleep 0.02
done
rm -f service.pid
echo "stopped process $pid"
