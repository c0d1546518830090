#!/bin/sh
# The `warm` of a release that was packed without its prices: says what is missing and ends with 3.
set -eu
echo "$ECHELON_HOST $ECHELON_PHASE $ECHELON_ROLLOUT $ECHELON_ATTEMPT" >>../../../phases.log
echo "warming $(cat current/VERSION)"
cat current/prices.csv || exit 3
