# Becomes process 1 of a small system: this machine's files under a layer that is forgotten, and packages of another release
# over them. Runs in namespaces of its own: mount, pid, uts, ipc and network.
#   $1  an empty folder; $2  a folder of files to lay over this machine's; $3  the checkout; $4  Node
set -e
folder=$1 over=$2 checkout=$3 node=$4
mount -t tmpfs tmpfs "$folder"
mkdir "$folder/upper" "$folder/work" "$folder/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" "$folder/root"
cd "$folder/root"
# Modules of this machine's own QEMU and libvirt are of another build.
for modules in qemu libvirt; do
  if [ -d "$over/usr/lib/x86_64-linux-gnu/$modules" ]; then rm -rf "usr/lib/x86_64-linux-gnu/$modules"; fi
done
cp -a "$over/." .
. "${0%/*}/../support/small-root.sh"
mkdir dev/pts
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mkdir -p opt/membroker usr/local/bin
mount --bind "$checkout" opt/membroker
rm -f usr/local/bin/node
: >usr/local/bin/node
mount --bind "$node" usr/local/bin/node
mkdir run/before
pivot_root . run/before
cd /
umount -l /run/before
: >/run/up
# Processes that lose their parent become children of this one.
while :; do
  sleep 3600 &
  wait
done
