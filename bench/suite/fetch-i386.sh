#!/bin/bash
# Fetches what v86 boots in the benchmark, as it is a 32-bit machine: Debian's kernel 686 and busybox of the architecture
# i386, into .build/bench/i386. Nothing is installed, and apt's lists of i386 are kept apart from those of the system.
# Needs Debian 12, or a mirror of it in the apt sources.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)/.build/bench/i386
apt=(-q -o APT::Architecture=i386 -o APT::Architectures=i386 -o Dir::State="$root/apt" -o Dir::State::status=/dev/null -o Dir::Cache="$root/apt")

mkdir -p "$root/apt/lists/partial" "$root/apt/archives/partial"
cd "$root"
apt-get "${apt[@]}" update || echo 'not all sources answered; the packages may be in those that did'
kernel=$(apt-cache "${apt[@]}" depends --important linux-image-686 | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -1)
apt-get "${apt[@]}" download "$kernel" busybox-static
dpkg --fsys-tarfile linux-image-*.deb | tar -x --wildcards './boot/vmlinuz-*'
dpkg --fsys-tarfile busybox-static_*.deb | tar -x ./bin/busybox
rm -r ./*.deb apt
