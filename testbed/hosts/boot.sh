# Boots one host and keeps it: in cgroups of its own, and with mounts that nobody else sees and that are gone with it.
# $1: the folder of the host, $2: the root below it, $3: its name, $4: its network namespace, then its cgroups.
set -e
folder=$1 root=$2 name=$3 network=$4
shift 4
for cgroup in "$@"; do
	mkdir -p "$cgroup"
	echo $$ >"$cgroup/cgroup.procs"
done
export folder root name network
exec unshare --mount --propagation private sh -ec '
	mkdir -p /run/systemd/nspawn
	# systemd-nspawn clears up below it, and only in memory.
	mount -t tmpfs tmpfs /run/systemd/nspawn
	mount -t overlay overlay -o "lowerdir=$root,upperdir=$folder/upper,workdir=$folder/work" "$folder/root"
	export UNIFIED_CGROUP_HIERARCHY=1
	# 133: the host has rebooted itself.
	while code=0; systemd-nspawn --quiet --register=no --keep-unit --boot --directory="$folder/root" --machine="$name" \
		--network-namespace-path="/run/netns/$network" --console=pipe || code=$?; [ "$code" = 133 ]; do
		echo "$name boots again"
	done
	exit "$code"
'
