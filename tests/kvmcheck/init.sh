#!/bin/busybox sh
# The outer guest's init: the host's own files by 9p, read-only, below a file system in memory.
bb=/bin/busybox
$bb mkdir -p /proc /sys /dev /lower /upper /new
$bb mount -t proc proc /proc
$bb mount -t sysfs sys /sys
$bb mount -t devtmpfs dev /dev

while read -r name words; do
	# shellcheck disable=SC2086  # words of a module are words
	$bb insmod "/modules/$name.ko" $words || echo "kvm-check: insmod $name failed"
done </modules.list

fail() {
	echo "kvm-check: $1"
	echo o >/proc/sysrq-trigger
	$bb sleep 60
}

options=trans=virtio,version=9p2000.L,msize=1048576
# nobody changes what is read there while this machine runs
$bb mount -t 9p -o "$options,cache=loose,ro" root /lower || fail "the host's root cannot be mounted"
$bb mount -t tmpfs -o size=75% upper /upper
$bb mkdir /upper/data /upper/work
$bb mount -t overlay -o lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work all /new ||
	fail "no overlay"
for one in proc sys dev; do $bb mount --move /$one /new/$one; done
$bb mkdir -p /new/dev/pts /new/dev/shm /new/jobs
$bb mount -t devpts pts /new/dev/pts
$bb mount -t tmpfs shm /new/dev/shm
$bb mount -t tmpfs -o mode=1777 tmp /new/tmp
$bb mount -t tmpfs run /new/run
$bb mkdir -m 700 /new/run/user
$bb mount -t 9p -o "$options,cache=none" jobs /new/jobs || fail "no directory of jobs"
$bb ifconfig lo 127.0.0.1 up
$bb hostname kvm-check
$bb chroot /new /bin/sh /jobs/agent.sh
$bb mount -t proc proc /proc
fail "the agent has ended"
