#!/bin/sh
# The lab's first process: mounts, modules, the folder shared with the outside, then one thing to run.
/bin/busybox --install -s /bin
export PATH=/opt/bin:/usr/bin:/bin:/usr/sbin:/sbin HOME=/root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs tmpfs /run
mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
mount -t tmpfs -o mode=1777 tmpfs /tmp
ln -sf /proc/self/fd /dev/fd
ip link set lo up
hostname lab

# insmod does not look at the kernel's command line for the module's parameters.
cmdline=$(cat /proc/cmdline)
without=
for word in $cmdline; do
  case $word in lab.without=*) without=,${word#lab.without=}, ;; esac
done
for module in $(cat /lib/modules/order); do
  case $without in *,$module,*) continue ;; esac
  parameters=
  for word in $cmdline; do
    case $word in $module.*) parameters="$parameters ${word#$module.}" ;; esac
  done
  insmod /lib/modules/$module.ko $parameters || echo "lab: module $module was not loaded" >/dev/kmsg
done
mount -t ext4 -o ro /dev/vda /usr || echo "lab: no tools" >/dev/kmsg
mount -t ext4 -o ro /dev/vdb /opt || echo "lab: no project" >/dev/kmsg
mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000 lab /lab || echo "lab: no shared folder" >/dev/kmsg

# A host with a root of its own, where what is installed becomes process 1.
case " $cmdline " in
  *" root="*)
    root=${cmdline##*root=}
    root=${root%% *}
    if mount -t ext4 "$root" /host; then
      umount /usr
      for place in proc sys dev run opt lab; do mount --move /$place /host/$place; done
      exec switch_root /host /sbin/init
    fi
    echo "no root at $root" >/dev/kmsg
    # What an operator does in a rescue shell.
    test -f /lab/rescue && sh /lab/rescue
    exit 1
    ;;
esac

if grep -qw lab.shell /proc/cmdline; then
  cat <<EOF

This is the lab: $(uname -r), busybox, Node, QEMU, kexec-tools, membrokerd and broker-ctl.
/lab is the run's folder outside. Kernels to go into (--into brings another): $(ls /lab/kernel | tr '\n' ' ')
  kexec -s -l /lab/kernel/6.1/vmlinuz --initrd=/lab/kernel/6.1/initrd --reuse-cmdline && kexec -e
"exit" ends the lab.

EOF
  setsid cttyhack sh -l
elif grep -qw lab.run /proc/cmdline; then
  sh /lab/command </dev/null >/lab/output 2>&1
  echo $? >/lab/status
else
  node --enable-source-maps /opt/node_modules/membroker/dist/test/lab/inside/main.js </dev/null
fi
poweroff -f
