#!/bin/bash
# Runs the prebuilt test guests under Debian's own Xen in QEMU and prints every line that does not say ok: what the
# guests expect was measured so. About a minute.
#
#   tests/guests/run-on-xen.sh [NAME...]        default: all but answers, crashes, hogs, fuzz and peers
#
# Needs of Debian 12: qemu-system-x86, busybox-static, linux-image-6.1.*-amd64 (Domain-0's kernel, installed) and the
# libraries of xen-utils-4.17; the Xen packages are fetched with `apt-get download` and not installed.
set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "$0")" && pwd)
work=${WORK:-/tmp/xenith-guests-on-xen}
kernel=$(find /boot -name 'vmlinuz-6.1.*-amd64' ! -name '*cloud*' | sort -V | tail -1)
[ -n "$kernel" ] || { echo "run-on-xen.sh: no linux-image-6.1.*-amd64 is installed" >&2; exit 2; }
if [ $# -eq 0 ]; then
    for file in "$here"/prebuilt/*.elf.gz; do
        name=$(basename "$file" .elf.gz)
        case $name in answers | crashes | hogs | fuzz | peers) ;; *) set -- "$@" "$name" ;; esac
    done
fi

mkdir -p "$work/packages"
if [ ! -e "$work/xen/boot" ]; then
    (cd "$work/packages" && apt-get download xen-hypervisor-4.17-amd64 xen-utils-4.17)
    for package in "$work"/packages/*.deb; do dpkg -x "$package" "$work/xen"; done
fi

root=$work/root tools=$work/xen/usr/lib/xen-4.17/bin
rm -rf "$root"
mkdir -p "$root"/{bin,dev,etc/xen,guests,lib/x86_64-linux-gnu,lib64,modules,proc,sys,tmp,usr/lib/xen-4.17/bin}
mkdir -p "$root"/{run,var/run,var/lib,var/log}/{xen,xenstored} "$root/var/lock"
cp /bin/busybox "$tools"/{xl,xenstored,xenconsoled,xen-init-dom0} "$root/bin/"
cp "$tools/xenconsole" "$tools/libxl-save-helper" "$root/usr/lib/xen-4.17/bin/"
cp /lib/x86_64-linux-gnu/libgcc_s.so.1 "$root/lib/x86_64-linux-gnu/"
for file in "$root"/bin/* "$root"/usr/lib/xen-4.17/bin/*; do
    for library in $(ldd "$file" 2>/dev/null | grep -o '/[^ :]*' || true); do cp --parents -L "$library" "$root/"; done
done
for file in xen-evtchn xen-gntdev xen-privcmd xenfs/xenfs; do
    cp "/lib/modules/${kernel#/boot/vmlinuz-}/kernel/drivers/xen/$file.ko" "$root/modules/"
done
touch "$root/etc/xen/xl.conf"
for name in "$@"; do
    gzip -dc "$here/prebuilt/$name.elf.gz" >"$root/guests/$name.elf"
    [ "$name" != neighbours ] || continue
    vcpus=1
    [ "$name" != smp ] || vcpus=2
    cat >"$root/guests/$name.cfg" <<END
name = "$name"
type = "pv"
kernel = "/guests/$name.elf"
memory = 8
maxmem = 8
vcpus = $vcpus
on_poweroff = "preserve"
on_crash = "preserve"
END
done
cat >"$root/init" <<'END'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts
exec </dev/console >/dev/console 2>&1
for module in /modules/*.ko; do insmod "$module"; done
mount -t xenfs xenfs /proc/xen
xenstored --internal-db
xen-init-dom0
xenconsoled
for config in /guests/*.cfg; do
    name=$(basename "$config" .cfg)
    echo "=== $name"
    xl create -q -p "$config"
    id=$(xl domid "$name")
    xl console "$id" </dev/null &
    sleep 0.3
    xl unpause "$id"
    for i in $(seq 100); do xl list "$id" | grep -q -- '---s[c-][d-]\|----[cd]' && break; sleep 0.2; done
    sleep 0.5
    echo
    xl list "$id" | grep -q -- '---[s-]c[d-]' && echo "not ok - it crashed"
    xl destroy "$id"
done
# two domains at once, which must know each other's numbers: the next ones
next=$(ls /guests/*.cfg 2>/dev/null | wc -l)
for version in 1 2; do
    [ -e /guests/neighbours.elf ] || break
    granter=$((next + 1)) mapper=$((next + 2)) next=$((next + 2))
    for role in "granter peer=$mapper" "mapper peer=$granter"; do
        cat >/tmp/neighbour.cfg <<EOF
name = "${role%% *}"
type = "pv"
kernel = "/guests/neighbours.elf"
memory = 8
maxmem = 8
on_poweroff = "destroy"
on_crash = "preserve"
extra = "$role version=$version"
EOF
        xl create -q -p /tmp/neighbour.cfg
    done
    for id in $granter $mapper; do xl console $id </dev/null >/tmp/$id & done
    sleep 0.5
    xl unpause $granter
    xl unpause $mapper
    for i in $(seq 100); do xl list $mapper >/dev/null 2>&1 || break; sleep 0.3; done
    sleep 0.5
    for id in $granter $mapper; do echo "=== neighbours, domain $id"; cat /tmp/$id; echo; done
    for id in $granter $mapper; do xl destroy $id 2>/dev/null; done
    sleep 1
done
echo "=== end"
poweroff -f
END
chmod +x "$root/init"
(cd "$root" && find . | cpio --quiet -o -H newc) >"$work/domain0.cpio"
gzip -dc "$work"/xen/boot/xen-4.17-amd64.gz >"$work/xen.elf"
timeout 300 qemu-system-x86_64 -cpu qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt,+cx16 -m 700 -display none -monitor none \
    -no-reboot -serial stdio -kernel "$work/xen.elf" \
    -append "console=com1 com1=115200,8n1 dom0_mem=400M,max:400M dom0_max_vcpus=1 loglvl=error spec-ctrl=no xpti=0" \
    -initrd "$kernel console=hvc0 quiet mitigations=off,$work/domain0.cpio" </dev/null |
    tr -d '\r' | sed -n '/^=== /,/^=== end/p' | grep -av '^ok \|^$'
