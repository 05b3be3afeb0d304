#!/bin/bash
# Boots the default guest under Debian's own Xen in QEMU and counts the instructions and hypercalls of its kernel.
#
#   guest/measure/boot-on-xen.sh [--memory MIB] [--append STRING] [--command FILE] [--map System.map] [--work DIR]
#
#   --memory MIB      the domain's memory (default: 32)
#   --append STRING   its command line (default: "console=hvc0 quiet xenith.cmd=true")
#   --command FILE    for xenith.cmd=@: what goes to data/xenith/command, percent-encoded
#   --map FILE        name the functions that execute most (build.sh leaves it in DIR/kernel/System.map)
#   --work DIR        default: /tmp/xenith-boot-on-xen
#
# Needs of Debian 12: qemu-system-x86, gcc, busybox-static, linux-image-6.1.*-amd64 (Domain-0's kernel, installed)
# and the libraries of xen-utils-4.17; the Xen packages are fetched with `apt-get download` and not installed.
set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "$0")" && pwd)
dist=$(cd "$here/../dist" && pwd)
work=/tmp/xenith-boot-on-xen
memory=32
append="console=hvc0 quiet xenith.cmd=true"
command=
map=

fail() { echo "boot-on-xen.sh: $*" >&2; exit 2; }

while [ $# -gt 0 ]; do
    [ $# -gt 1 ] || fail "$1 is no option, or lacks its value (see the head of this file)"
    case $1 in
    --memory) memory=$2 ;;
    --append) append=$2 ;;
    --command) command=$(realpath "$2") ;;
    --map) map=$(realpath "$2") ;;
    --work) work=$2 ;;
    *) fail "$1 is no option (see the head of this file)" ;;
    esac
    shift 2
done

fetch_xen() {
    [ ! -e "$work/xen/boot" ] || return 0
    mkdir -p "$work/packages"
    (cd "$work/packages" && apt-get download xen-hypervisor-4.17-amd64 xen-utils-4.17 xenstore-utils)
    for package in "$work"/packages/*.deb; do dpkg -x "$package" "$work/xen"; done
}

make_domain0() {
    local root="$work/root" tools="$work/xen/usr/lib/xen-4.17/bin" kernel=$1 file library
    rm -rf "$root"
    mkdir -p "$root"/{bin,dev,etc/xen,lib/x86_64-linux-gnu,lib64,modules,proc,sys,tmp,usr/lib/xen-4.17/bin}
    mkdir -p "$root"/{run/xen,run/xenstored,var/run/xen,var/run/xenstored,var/lib/xen,var/lib/xenstored,var/log/xen}
    mkdir -p "$root/var/lock"
    cp /bin/busybox "$tools"/{xl,xenstored,xenconsoled,xen-init-dom0} "$work"/xen/usr/bin/xenstore-{read,write,chmod} \
        "$root/bin/"
    cp "$tools/xenconsole" "$tools/libxl-save-helper" "$root/usr/lib/xen-4.17/bin/"
    cp /lib/x86_64-linux-gnu/libgcc_s.so.1 "$root/lib/x86_64-linux-gnu/"
    for file in "$root"/bin/* "$root"/usr/lib/xen-4.17/bin/*; do
        for library in $(ldd "$file" 2>/dev/null | grep -o '/[^ :]*' || true); do cp --parents -L "$library" "$root/"; done
    done
    for file in xen-evtchn xen-gntdev xen-privcmd xenfs/xenfs; do
        cp "/lib/modules/${kernel#/boot/vmlinuz-}/kernel/drivers/xen/$file.ko" "$root/modules/"
    done
    install "$here/domain0-init" "$root/init"
    touch "$root/etc/xen/xl.conf"
    cp "$dist"/vmlinuz-xenith "$dist"/initramfs.cpio.gz "$root/"
    [ -z "$command" ] || cp "$command" "$root/command"
    cat >"$root/domain.cfg" <<END
name = "guest"
type = "pv"
kernel = "/vmlinuz-xenith"
ramdisk = "/initramfs.cpio.gz"
memory = $memory
maxmem = $memory
extra = "$append"
on_poweroff = "preserve"
on_crash = "preserve"
END
    (cd "$root" && find . | cpio --quiet -o -H newc) >"$work/domain0.cpio"
}

# By function: the map's symbol at or below each block's address.
name_functions() {
    { grep -i ' [tw] ' "$map" | sed 's/^/map /'; sed 's/^/run /' "$work/count.txt"; } | sort -k2,2 -k1,1 |
        awk '$1 == "map" { name = $4 } $1 == "run" { count[name] += $3 }
             END { for (name in count) printf "%12d %s\n", count[name], name }' | sort -rn | awk 'NR <= 40'
    # The hypercall stub executes `syscall` once for each hypercall; its first block is three instructions.
    awk -v at="$(awk '$3 == "xen_hypercall_pv" { print $1 }' "$map")" \
        '$1 == at { printf "%12d hypercalls\n", $2 / 3 }' "$work/count.txt"
}

kernel=$(find /boot -name 'vmlinuz-6.1.*-amd64' ! -name '*cloud*' | sort -V | tail -1)
[ -n "$kernel" ] || fail "no linux-image-6.1.*-amd64 is installed"
fetch_xen
make_domain0 "$kernel"
gzip -dc "$work"/xen/boot/xen-4.17-amd64.gz >"$work/xen.elf"
gcc -O2 -Wall -Wextra -shared -fPIC -o "$work/count.so" "$here/count.c"
timeout 120 qemu-system-x86_64 -cpu qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt,+cx16 -m 700 -display none -monitor none \
    -no-reboot -serial stdio -plugin "$work/count.so,output=$work/count.txt" -kernel "$work/xen.elf" \
    -append "console=com1 com1=115200,8n1 dom0_mem=400M,max:400M dom0_max_vcpus=1 loglvl=error spec-ctrl=no xpti=0" \
    -initrd "$kernel console=hvc0 quiet mitigations=off,$work/domain0.cpio" </dev/null
awk '{ sum += $2 } END { printf "%12d instructions of the kernel\n", sum }' "$work/count.txt"
[ -z "$map" ] || name_functions
