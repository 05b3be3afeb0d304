// Configurations as people have them, which xl and we must read alike.

export interface XlCase {
  readonly name: string;
  readonly text: string;
  readonly words: readonly string[];
}

/** As Debian's xen-tools writes them. */
export const DEBIAN_GUEST = `#
# Configuration file for the Xen instance web1
#

#
#  Kernel + memory size
#
kernel      = '/boot/vmlinuz-6.1.0-18-amd64'
extra       = 'elevator=noop'
ramdisk     = '/boot/initrd.img-6.1.0-18-amd64'

vcpus       = '2'
memory      = '512'

#
#  Disk device(s).
#
root        = '/dev/xvda2 ro'
disk        = [
                  'phy:/dev/vg0/web1-disk,xvda2,w',
                  'phy:/dev/vg0/web1-swap,xvda1,w',
              ]

#
#  Hostname
#
name        = 'web1'

#
#  Networking
#
dhcp        = 'dhcp'
vif         = [ 'mac=00:16:3E:35:2A:9C,bridge=xenbr0' ]

#
#  Behaviour
#
on_poweroff = 'destroy'
on_reboot   = 'restart'
on_crash    = 'restart'
`;

/** With most of what the language has. */
export const LARGE_GUEST = `type = "pv"; name = "build \\"farm\\" 7"
uuid = "3FB78AB6-1C2A-4F9E-8C55-0A1B2C3D4E5F"
kernel = "/srv/xen/vmlinuz"; ramdisk = "/srv/xen/initrd"   # installed by hand
cmdline = "console=hvc0"
cmdline += ' root=/dev/xvda1 quiet'
memory = 0x200
maxmem = 02000
vcpus = 2
maxvcpus = 4
cpus = [ "0-3,^1",
         "all,^7",   # not the last

         5,
       ]
cpus_soft = "4-7,,2"
cpu_weight = 512
cap = 150; nomigrate = 1
on_poweroff = "preserve"; on_reboot = "rename-restart"
on_watchdog = "coredump-restart"
on_crash = "coredump-destroy"; on_soft_reset = "destroy"
disk = [ "/srv/root.img,raw,xvda,rw", 'format=qcow2, vdev=xvdb, access=ro, no-discard, target=/srv/a,b=c.qcow2' ]
disk += [ '/srv/debian.iso,,hdc,cdrom', ',hdd:cdrom,r' ]
vif = [ '', 'mac=0:16:3e:0:0:1 , ip=10.0.0.2 10.0.0.3,rate=1MB/s@20ms', 'bridge=br1,mtu=9000,devid=7,untrusted,rate=10Mb/s' ]
pci = []
`;

const MINIMAL = 'name = "small"\nkernel = "/k"\n';

const disk = (spec: string): XlCase => ({ name: `disk ${JSON.stringify(spec)}`, text: MINIMAL, words: [`disk=["${spec}"]`] });
const vif = (spec: string): XlCase => ({ name: `vif ${JSON.stringify(spec)}`, text: MINIMAL, words: [`vif=["${spec}"]`] });
const word = (...words: string[]): XlCase => ({ name: words.join(' '), text: MINIMAL, words });

export const XL_CASES: readonly XlCase[] = [
  { name: 'a guest of xen-tools', text: DEBIAN_GUEST, words: [] },
  { name: 'a large one', text: LARGE_GUEST, words: [] },
  { name: 'words override the file', text: DEBIAN_GUEST, words: ['memory=1024', 'name="web2"; vcpus=1', 'disk+=["/dev/vg0/data,,xvdb"]'] },
  word(), word('memory=" +0100"', 'maxmem="0xff"'), word('vcpus=3', 'cpus="all"'), word('maxvcpus=4', 'cpus="3"'), word('root="/dev/xvda"'), word('extra="x"', 'root="/dev/xvda"'),
  word('extra=""'), word('extra="a"', 'cmdline="b"'), word('builder="generic"'), word('vcpus=2', 'cpus=["1"]'), word('vcpus=1', 'cpus=["1","2","3"]'),
  ...['/dev/vg/guest-volume,,hda', '/dev/vg/g,raw,hda,rw', 'format=raw, vdev=hda, access=rw, target=/dev/vg/g', 'raw:/dev/vg/g,hda,w', '/root/i.iso,,hdc,cdrom', '/root/i.iso,,hdc,,cdrom',
    '/root/i.iso,raw,hdc,devtype=cdrom', 'format=raw, vdev=hdc, access=ro, devtype=cdrom, target=/root/i.iso', 'raw:/root/i.iso,hdc:cdrom,ro', ',hdc:cdrom,r', 'tap:aio:qcow2:/a/b,xvda,w',
    'file:/a b,xvda,w', 'phy:vg/x,sda1,w', 'vhd:/x,xvda', '/a,qed,xvda', '/a,vdev=xvda,raw,w', '/a,,xvda,,', 'vdev=,vdev=xvda,target=/x', 'aio:/x,ioemu:xvda,w', '/x,raw,xvda:disk,w',
    '/x,raw,xvda,w,access=r', 'vdev=xvda,direct-io-safe,discard,backendtype=phy,target=a,b=c ', 'foo:bar,raw,xvda,w', 'vdev=xvda, format=,target=x', '  \t/a,  raw,\txvda, w',
    'vdev=xvdb,,target=/x', 'vdev=xvda,target=/x,,', 'vdev=xvdb,no-colo,specification=xen,devtype=disk,target=/x', '/x,raw,xvda,r,discard', 'cdrom,vdev=hdc', 'format=empty,vdev=hdc,devtype=cdrom'].map(disk),
  ...['', ',,', 'mac=00:16:3e:00:00:01,bridge=br0', 'rate=10Mb/s', 'rate=250KB/s', 'rate=1MB/s@20ms', 'rate=5GB/s@1s', 'rate=1B/s@9', 'rate=8b/s', 'rate=1Kb/s@5us', 'rate=4294967295B/s@7m', 'rate=0100B/s',
    'rate=4GB/s@4294s', 'type=vif', 'mtu=9000', 'devid=3', 'ip=10.0.0.1', 'trusted', 'untrusted', 'mac=00:16:3e:00:00:01,mac=0:1:2:a:B:c', 'script=vif-route,vifname=v,netdev=eth0,model=e1000,accel=1'].map(vif),
];
