#!/bin/bash
# Builds the default guest: a Linux kernel and an initramfs, out of Debian packages and the files beside this script.
#
#   guest/build.sh [--install] [--update] [--work DIR]
#
#   --install   first install the Debian packages that the build needs (apt-get, as root)
#   --update    put the result into guest/dist and record its SHA-256; without this the result is only compared
#               with what is recorded
#   --work DIR  build there (default: /tmp/xenith-guest); an existing build is continued
#
# Ends with 0 when the result is the recorded one (or was recorded), 1 when it differs or the build fails, 2 when the
# machine lacks something. The same packages give the same bytes, wherever and whenever they are built.
set -euo pipefail
export LC_ALL=C

guest=$(cd "$(dirname "$0")" && pwd)
work=/tmp/xenith-guest
install=no
update=no

# What goes in. A newer Debian package needs a new line here and, as its output differs, a run with --update.
packages="linux-source-6.1=6.1.192-2 busybox-static=1:1.35.0-4+deb12u1+b1"
tools="gcc-12 make flex bison bc libelf-dev libc6-dev xz-utils lz4 gzip patch"
tarball=/usr/src/linux-source-6.1.tar.xz
tarball_sha256=4d415b3d364834fd818270e88813e90323bbfce4f519a0e6bd4940ddcd7df693
busybox=/bin/busybox
busybox_sha256=3d9f2889d6782537624a4e1a10e68a2ddd53e0ee8bac02676f27308f42ec6bf6

# What would otherwise differ from build to build.
export KBUILD_BUILD_TIMESTAMP="2026-07-02" KBUILD_BUILD_USER=xenith KBUILD_BUILD_HOST=xenith KBUILD_BUILD_VERSION=1
export CC=gcc-12 HOSTCC=gcc-12

say() { echo "guest/build.sh: $*" >&2; }
fail() { say "$2"; exit "$1"; }
usage() { sed -n '4,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }

while [ $# -gt 0 ]; do
    case $1 in
    --install) install=yes ;;
    --update) update=yes ;;
    --work) [ $# -gt 1 ] || usage; work=$2; shift ;;
    *) usage ;;
    esac
    shift
done

check_sha256() { # FILE SHA256 WHAT
    [ -e "$1" ] || fail 2 "$1 is missing: install $3, or run this script with --install"
    echo "$2  $1" | sha256sum --check --status || fail 2 "$1 is not the file of $3 (SHA-256 $2)"
}

check_machine() {
    local tool
    if [ $install = yes ]; then
        apt-get update
        # shellcheck disable=SC2086 # lists of words
        apt-get install --yes --no-install-recommends $packages $tools
    fi
    for tool in gcc-12 make flex bison bc xz lz4 gzip patch; do
        [ -n "$(command -v $tool)" ] || fail 2 "$tool is missing: install the packages $tools, or use --install"
    done
    [ -e /usr/include/libelf.h ] || fail 2 "libelf.h is missing: install libelf-dev, or use --install"
    check_sha256 $tarball $tarball_sha256 "${packages%% *}"
    check_sha256 $busybox $busybox_sha256 "${packages##* }"
}

# The source with guest/patches/*.patch applied, each exactly (no fuzz). source.done says of what it was made: anything
# else is unpacked again, and its objects go too, as they are newer than the files of the tarball.
unpack() {
    local inputs file
    inputs=$(cd "$guest/patches" && sha256sum $tarball ./*.patch)
    [ "$(cat "$work/source.done" 2>/dev/null)" != "$inputs" ] || return 0
    say "unpacking $tarball"
    rm -rf "$work/source.done" "$work/source" "$work/kernel"
    mkdir -p "$work/source"
    tar -xf $tarball -C "$work/source" --strip-components=1
    for file in "$guest"/patches/*.patch; do
        patch --directory="$work/source" --strip=1 --fuzz=0 --batch --forward --quiet --no-backup-if-mismatch <"$file" ||
            fail 1 "${file##*/} does not fit this source"
    done
    echo "$inputs" >"$work/source.done"
}

kernel_make() { nice -n 10 make -s -C "$work/source" O="$work/kernel" CC=$CC HOSTCC=$HOSTCC "$@"; }

# allnoconfig plus the fragment; every line of the fragment must have been taken.
configure() {
    local line symbol bad=0
    mkdir -p "$work/kernel"
    kernel_make KCONFIG_ALLCONFIG="$guest/kernel.config" allnoconfig
    while read -r line; do
        case $line in
        '# CONFIG_'*' is not set')
            symbol=${line#\# }
            symbol=${symbol%% *}
            grep -q "^$symbol=" "$work/kernel/.config" || continue ;;
        CONFIG_*) grep -qxF "$line" "$work/kernel/.config" && continue ;;
        *) continue ;;
        esac
        say "Kconfig did not take: $line"
        bad=1
    done <"$guest/kernel.config"
    [ $bad = 0 ] || fail 1 "kernel.config asks for what this kernel does not offer"
}

build_kernel() {
    say "building the kernel in $work/kernel (about five minutes of two processors)"
    kernel_make -j"${JOBS:-2}" bzImage
    cp "$work/kernel/arch/x86/boot/bzImage" "$work/dist/vmlinuz-xenith"
}

compile() { # OUTPUT SOURCES...
    (cd "$guest/src" && $CC -std=gnu11 -Os -Wall -Wextra -Werror -ffreestanding -fno-builtin -fno-pie \
        -fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none \
        -nostdlib -static -no-pie -s -Wl,--build-id=none -Wl,-z,noseparate-code -Wl,-z,norelro -o "$@")
}

build_init() {
    compile "$work/options.test" start.S options.test.c options.c system.c
    "$work/options.test" || fail 1 "init does not read its options as it should"
    compile "$work/init" start.S init.c console.c options.c xenstore.c system.c
}

# One busybox with a hard link for each applet: a link costs a directory entry, a symbolic link a page as well.
list_initramfs() {
    local file directory applets
    applets=$($busybox --list-full | grep -vxE "bin/busybox|linuxrc" | sed 's|^|/|' | tr '\n' ' ')
    for directory in bin dev etc mnt proc root run sbin sys tmp usr usr/bin usr/sbin; do
        echo "dir /$directory 755 0 0"
    done
    echo "nod /dev/console 600 0 0 c 5 1"
    echo "file /init $work/files/init 755 0 0"
    echo "file /bin/busybox $work/files/busybox 755 0 0 $applets"
    for file in "$guest"/etc/*; do
        echo "file /etc/${file##*/} $work/files/${file##*/} 644 0 0"
    done
}

# gen_init_cpio records the files' times, so they are copied and given one.
build_initramfs() {
    rm -rf "$work/files"
    mkdir "$work/files"
    cp "$work/init" $busybox "$guest"/etc/* "$work/files/"
    touch --date=@0 "$work"/files/*
    list_initramfs >"$work/initramfs.list"
    "$work/kernel/usr/gen_init_cpio" -t 0 "$work/initramfs.list" >"$work/initramfs.cpio"
    gzip -9 --no-name --stdout "$work/initramfs.cpio" >"$work/dist/initramfs.cpio.gz"
}

check_size() {
    local bytes
    bytes=$(cat "$work/dist/vmlinuz-xenith" "$work/dist/initramfs.cpio.gz" | wc -c)
    say "kernel and initramfs: $bytes bytes"
    [ "$bytes" -le $((6 << 20)) ] || fail 1 "more than 6 MiB"
}

deliver() {
    if [ $update = yes ]; then
        mkdir -p "$guest/dist"
        cp "$work/dist/vmlinuz-xenith" "$work/dist/initramfs.cpio.gz" "$guest/dist/"
        (cd "$guest/dist" && sha256sum vmlinuz-xenith initramfs.cpio.gz >SHA256SUMS)
        say "recorded in $guest/dist/SHA256SUMS"
    elif (cd "$work/dist" && sha256sum --check --quiet "$guest/dist/SHA256SUMS"); then
        say "the result is the recorded one"
    else
        fail 1 "the result (in $work/dist) differs from guest/dist/SHA256SUMS; record it with --update if it should"
    fi
}

check_machine
mkdir -p "$work/dist"
unpack
configure
build_kernel
build_init
build_initramfs
check_size
deliver
