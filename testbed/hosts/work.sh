#!/bin/sh
# Twenty seconds of work that is told of twice: in a log of the host's own and in the phase's output.
set -e
log=/var/lib/endurance.log
mark=/var/lib/endurance-$ECHELON_RELEASE
echo "begin $ECHELON_ATTEMPT" >>"$log"
# It holds the output open for longer than anybody waits.
sleep 3600 &
line=0
while [ "$line" -lt 20 ]; do
	line=$((line + 1))
	echo "line $line of 20 on $ECHELON_HOST"
	# Some hosts are done early, and only wait after it.
	if [ "$line" -eq 2 ] && [ "$ECHELON_LABEL_WORK" = early ]; then
		: >"$mark"
	fi
	echo "line $line" >>"$log"
	sleep 1
done
: >"$mark"
echo "end $ECHELON_ATTEMPT" >>"$log"
