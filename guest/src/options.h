/*
 * What the toolstack asks of this guest, on the kernel's command line.
 *
 *   xenith.cmd=WORD,WORD...   run this instead of a shell; see options.c for the encoding
 *   xenith.cmd=@              the same, with the words in xenstore, at data/xenith/command: Xen's command line ends
 *                             after 1,023 bytes, a node's value after some 4,000
 *   xenith.console=pipe       the console carries bytes, not a person: no echo, no newline translation
 *   xenith.rows=N xenith.cols=N   the terminal's size
 *   xenith.hostname=NAME      the host's name
 *   quiet                     no kernel message when the domain powers off
 */
#ifndef XENITH_OPTIONS_H
#define XENITH_OPTIONS_H

#define MAX_WORDS 128

struct options {
    char *words[MAX_WORDS + 1]; /* the command, ended with a null; words[0] is null when there is none */
    const char *bad;            /* what is wrong with the command, or null */
    const char *hostname;       /* null: keep the kernel's */
    int rows, columns;          /* 0: unknown */
    int command_in_xenstore;
    int pipe;
    int quiet;
};

/* Takes `text` (encoded words) apart in place as the command of `options`. */
void options_parse_command(struct options *options, char *text);

/* Takes `line` (the text of /proc/cmdline) apart in place; `options` points into it afterwards. */
void options_parse(struct options *options, char *line);

#endif
