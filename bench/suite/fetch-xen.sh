#!/bin/bash
# Fetches Debian's Xen for the benchmark, as a package, into .build/bench: nothing is installed. Needs Debian 12 (or a mirror
# of it in the apt sources) and a run of `apt-get update` before.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)/.build/bench/xen
mkdir -p "$root"
cd "$root"
apt-get download --quiet xen-hypervisor-4.17-amd64
dpkg --fsys-tarfile xen-hypervisor-4.17-amd64_*.deb | tar -x --wildcards './boot/xen-*-amd64.gz'
rm xen-hypervisor-4.17-amd64_*.deb
