// What --help prints.

export const HELP = `Usage: xenith COMMAND

Xenith runs unmodified Xen PV guests on its own hypervisor and its own x86-64
CPU, in Node.

  run        boot a guest with its console on this terminal

  daemon     run a machine of many domains
  create     start a domain on it, from an xl.cfg file or key=value words
  list, vcpu-list, vcpu-pin, vcpu-set, console, shutdown, reboot, destroy,
  pause, unpause, sysrq, rename, domid, domname, uptime, sched-credit2,
  dump-core, debug-keys, info, dmesg, mem-set, mem-max: as those of xl
  top        what domains do, live, as xentop
  trace      write what all domains do, with times, for Perfetto

  --help     this text; \`xenith COMMAND --help\` tells more
  --version  the version
`;

export const RUN_HELP = `Usage: xenith run [OPTIONS] [-- COMMAND...]

Boots a guest as a Xen PV domain, its console on this terminal. Ctrl-] leaves
the console and destroys the domain. Without --kernel, the default guest: a
small Linux with busybox.

  --kernel FILE     a PV kernel: ELF or bzImage, as Debian's /boot/vmlinuz-*
  --initrd FILE     an initial RAM disk for that kernel
  --append STRING   the kernel's command line (the default guest: more of it)
  --boot            boot the default guest. If not given, the first run keeps it as
                    it is when it has started, for later ones to go on from. Kept
                    or not, it boots with --append, --deterministic,
                    --compile-after, --trace, --trace-out and --profile
  --memory SIZE     256M if not given; 1G, 262144K and 256 (MiB) do as well
  --vcpus N         virtual processors, 1 to 32; 1 if not given
  --name NAME       the domain's name, and the default guest's host name
  --timeout SECONDS destroy the domain after that time, with exit status 124
  --deterministic   time comes from counted instructions and nothing is random:
                    the same input gives the same run. Input that is not a
                    terminal is read to its end first
  --compile-after N compile guest code that was executed N times (4000 if not
                    given, and in the default guest only once it has started);
                    0 leaves all of it to the interpreter
  --trace LIST      write to standard error what happens in the domain: one or
                    more of hypercalls,events,faults,exec
  --trace-out FILE  write what happened last, with times, as JSON that Perfetto and
                    chrome://tracing open
  --stats           write to standard error what the run took
  --profile         write to standard error where the run's time went: parts of the
                    engine, hypercalls, functions of the guest's kernel
  --system-map FILE names for those functions: System.map, or a copy of the
                    guest's own /proc/kallsyms
  --dump-on-crash FILE  write a core file of a domain that crashes, as Xen's own;
                    the package crash reads it
  --verbose         write to standard error what Xen's own log would show
  --help            this text

-- COMMAND... runs in the default guest instead of a shell, with this command's
standard input and output. Without a terminal the default guest's bytes pass
unchanged, and the end of the input is passed on; another kernel gets the input
as if it were typed, and no end.

Exit status: 0 when the guest powers off, 1 when it crashes (a report is on
standard error), 124 after --timeout, 2 for bad usage; with -- COMMAND, that
command's. 128 + N when signal N ends xenith. A guest that reboots starts anew;
one that runs a COMMAND ends.
`;

export const DAEMON_HELP = `Usage: xenith daemon [--state DIR] [--cpus N] [--log FILE]
                     [--shutdown-timeout SECONDS]

Runs a machine for many domains in the foreground, until SIGINT or SIGTERM. Then
it asks its guests to power off, and ends when they have; a second signal ends
it at once. However it ended, the domains that ran start again with it, with
their names, uuids and settings, under new numbers. Those that were shut down or
destroyed do not.

  --state DIR  where its state and its socket lie; XENITH_STATE if not given, or
               a folder of the user's. Several daemons run side by side, each
               with a folder of its own. Who may open the socket may do
               everything: it is for its owner only.
  --cpus N     physical CPUs that run the domains, each a thread; as many as
               there are processors if not given
  --log FILE   write the log there instead of to standard error; SIGHUP has it
               opened anew, for logrotate. Without a file SIGHUP ends the daemon
  --shutdown-timeout SECONDS
               how long guests may take to power off when the daemon ends; 60 if
               not given, 0 to end them without asking

DIR/auto may hold xl.cfg files, or links to some: their domains start with the
daemon, unless there is one of that name already. Paths in them are absolute.
DIR/domains.db is the database of what is remembered.

A domain with on_crash = "restart" that crashes within a minute of its start is
started again at once, then after 1, 2 and 4 seconds, and after the fifth such
crash in a row not any more.
`;
