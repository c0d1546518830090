command -v systemd-sysusers >/dev/null && [ -e /usr/lib/sysusers.d/@NAME@.conf ] && systemd-sysusers @NAME@.conf || :
command -v systemd-tmpfiles >/dev/null && systemd-tmpfiles --create @NAME@.conf || :
if [ "$1" -eq 1 ] && command -v systemctl >/dev/null; then
	systemctl --no-reload preset @UNIT@ || :
fi
