/*
 * What the toolstack asks of this guest, on the kernel's command line or in xenstore.
 *
 *   xenith.options=@          the other options are in xenstore, at data/xenith/options, or will be: the guest says that
 *                             it waits for them, and may be copied while it does
 *   xenith.cmd=WORD,WORD...   run this instead of a shell; see options.c for the encoding
 *   xenith.cmd=@              the same, with the words in xenstore, at data/xenith/command: Xen's command line ends
 *                             after 1,023 bytes, a node's value after some 4,000
 *   xenith.console=pipe       the console carries bytes, not a person: no echo, no newline translation
 *   xenith.rows=N xenith.cols=N   the terminal's size
 *   xenith.hostname=NAME      the host's name
 *   xenith.clock=N            microseconds by which the time of day is to be set forward: this is a copy of a guest that
 *                             waited so long ago, and its random numbers must not be those of other copies
 *   quiet                     no kernel message but errors, and none when the domain powers off
 *   NAME=VALUE                environment of the program, if there is no dot in NAME
 */
#ifndef XENITH_OPTIONS_H
#define XENITH_OPTIONS_H

#define MAX_WORDS 128
#define MAX_VARIABLES 16

struct options {
    char *words[MAX_WORDS + 1]; /* the command, ended with a null; words[0] is null when there is none */
    const char *bad;            /* what is wrong with the command, or null */
    const char *hostname;       /* null: keep the kernel's */
    char *variables[MAX_VARIABLES + 1]; /* ended with a null */
    long clock;                 /* microseconds */
    int is_copy;
    int options_in_xenstore;
    int rows, columns;          /* 0: unknown */
    int command_in_xenstore;
    int pipe;
    int quiet;
};

/* Takes `text` (encoded words) apart in place as the command of `options`. */
void options_parse_command(struct options *options, char *text);

/* Takes `line` (the text of /proc/cmdline, or of the node) apart in place; `options` points into it afterwards. */
void options_parse(struct options *options, char *line);

#endif
