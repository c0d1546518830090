#!/bin/sh
# What a phase runs: it writes down whose it is when it begins. One release never starts.
set -eu
echo "$ECHELON_HOST $ECHELON_ROLLOUT $ECHELON_PHASE $ECHELON_ATTEMPT" >>"$PWD/../../../phases.log"
echo "this is $ECHELON_PHASE of $ECHELON_RELEASE"
[ "$ECHELON_PHASE $(cat current/VERSION)" != "start broken" ]
