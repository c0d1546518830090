#!/bin/sh
# Puts the service into the background, in a session of its own and away from our output, and ends when it answers.
set -eu
echo "$ECHELON_HOST $ECHELON_PHASE $ECHELON_ROLLOUT $ECHELON_ATTEMPT" >>../../../phases.log
setsid ./current/bin/service >service.log 2>&1 </dev/null &
echo $! >service.pid
echo "started $(cat current/VERSION) as process $!, port $PORT"
