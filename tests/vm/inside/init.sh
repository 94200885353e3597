#!/usr/bin/busybox sh
# The machine's first process: makes the system that tests expect, runs them, and ends the machine.  What it prints is on the console;
# what the tests report goes to the second serial port, where the kernel does not interfere.
set -e

if [ "$1" != "second" ]; then
  /usr/bin/busybox --install -s /usr/bin
  # pivot_root refuses the kernel's first root, and a changed root forbids user namespaces: so the same files are mounted over it.
  mount -o bind / /mnt
  cd /mnt
  mount -o move . /
  exec chroot . /init second
fi

cd /
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm /proc /sys /run /tmp /root /var/tmp
chmod 1777 /tmp /var/tmp /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t proc proc /proc
mount -t sysfs sysfs /sys
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
