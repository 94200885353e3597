#!/bin/busybox sh
# The machine's first process: brings the project onto the disk, makes the system that tests expect, runs them, and ends the machine.
# What it prints is on the console; what the tests report goes to the second serial port, where the kernel does not interfere.
set -e

if [ "$1" != "second" ]; then
  # From the files that the kernel was started with, which only hold the project as it is now.
  /bin/busybox --install -s /bin
  mount -t devtmpfs dev /dev
  looks=0
  until [ -b /dev/nvme0n1 ]; do
    looks=$((looks + 1))
    [ "$looks" -lt 600 ] || { echo "no disk after $looks looks"; reboot -f; }
    sleep 0.05
  done
  mount -t ext4 -o nobarrier /dev/nvme0n1 /mnt
  cp -a /project/. /mnt
  umount /dev
  exec switch_root /mnt /machine/init second
fi

cd /
mkdir -p /dev /proc /sys /run /tmp /root /var/tmp
chmod 1777 /tmp /var/tmp
/usr/bin/busybox --install -s /usr/bin
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 run /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
echo "+memory +cpu +pids +io" >/sys/fs/cgroup/cgroup.subtree_control
ip link set lo up
hostname -F /etc/hostname
stty -F /dev/ttyS1 raw
for link in fd:fd stdin:fd/0 stdout:fd/1 stderr:fd/2; do
  ln -s "/proc/self/${link#*:}" "/dev/${link%%:*}"
done
export HOME=/root LANG=C.UTF-8 PATH=/usr/bin PYTHONUNBUFFERED=1

# Not by `.`: whatever becomes of the run, the machine has to end.
/usr/bin/busybox sh /machine/run || echo "the run ended with $?"
sync
reboot -f
