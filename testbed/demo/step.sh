#!/bin/sh
# The head of each small program of a release: it writes down that it was asked, then does what follows.
set -eu
echo "$ECHELON_HOST $ECHELON_PHASE $ECHELON_ROLLOUT $ECHELON_ATTEMPT" >>../../../phases.log
