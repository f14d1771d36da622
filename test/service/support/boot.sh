# Becomes process 1 of a small system: files of a root under a layer that is forgotten, with nothing of its
# services. Runs in namespaces of its own: mount, pid, uts, ipc and control groups.
#   $1  an empty folder; $2  the root, / for this machine's; $3  a folder of files to lay over it, or nothing;
#   $4...  FROM=TO: a file or folder of this machine, and where it is to be
set -e
folder=$1 base=$2 over=$3
shift 3
mount -t tmpfs tmpfs "$folder"
mkdir "$folder/upper" "$folder/work" "$folder/root"
# Copied, as a lower layer that is itself below / is refused.
if [ -n "$over" ]; then cp -a "$over/." "$folder/upper/"; fi
mount -t overlay overlay -o "lowerdir=$base,upperdir=$folder/upper,workdir=$folder/work" "$folder/root"
cd "$folder/root"
. "${0%/*}/../../support/small-root.sh"
mount -t cgroup2 cgroup2 sys/fs/cgroup
for pair in "$@"; do
  from=${pair%%=*} to=.${pair#*=}
  if [ -d "$from" ]; then
    mkdir -p "$to"
  else
    mkdir -p "${to%/*}"
    rm -f "$to"
    : >"$to"
  fi
  mount --bind "$from" "$to"
done
rm -rf etc/systemd/system etc/systemd/system.conf.d
mkdir etc/systemd/system
: >etc/machine-id
cat >etc/systemd/system/test.target <<UNIT
[Unit]
DefaultDependencies=no
Wants=systemd-journald.socket systemd-journald.service
UNIT
mkdir run/before
pivot_root . run/before
cd /
umount -l /run/before
exec env -i container=membroker-test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
  /lib/systemd/systemd --unit=test.target --log-target=journal-or-kmsg --show-status=no
