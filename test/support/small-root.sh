# The kernel's filesystems and devices of a small system, in its root, where the caller is already. Read by what becomes its process 1.
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
for place in run tmp; do mount -t tmpfs tmpfs "$place"; done
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do
  : >"dev/$device"
  mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/shm
mount -t tmpfs tmpfs dev/shm
