#!/bin/bash
# Fetches the stock guests that tests/stock boots, as Debian packages, into .build/stock: nothing is installed.
# Needs Debian 12 (or a mirror of it in the apt sources) and a run of `apt-get update` before.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)/.build/stock

# What a metapackage stands for now: linux-image-cloud-amd64 → linux-image-6.1.0-N-cloud-amd64.
depends() { apt-cache depends --important "$1" | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -1; }

mkdir -p "$root/packages"
cd "$root/packages"
for package in "$(depends linux-image-cloud-amd64)" "$(depends linux-image-amd64)" grub-xen-host busybox-static; do
    [ ! -e "$root/$package.done" ] || continue
    echo "fetching $package"
    apt-get download --quiet "$package"
    case $package in
    linux-image-*) dpkg --fsys-tarfile "$package"_*.deb | tar -x -C "$root" --wildcards './boot/vmlinuz-*' ;;
    *) dpkg -x "$package"_*.deb "$root" ;;
    esac
    rm "$package"_*.deb
    touch "$root/$package.done"
done
