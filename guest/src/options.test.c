/*
 * What options_parse makes of a command line. build.sh runs this on the machine that builds: it has init's own entry
 * point and library, ends with 0 when all is as expected and says what is not.
 */
#include "options.h"
#include "system.h"

static int failures;

static void expect(const char *what, int holds)
{
    if (holds)
        return;
    say("options.test: failed: ", what, "");
    failures++;
}

/* Parses a copy of `line`; the copy lasts until the next call. */
static struct options *parse(const char *line)
{
    static char copy[4096];
    static struct options options;

    memcpy(copy, line, text_length(line) + 1);
    options_parse(&options, copy);
    return &options;
}

static void test_words(void)
{
    struct options *options = parse("console=hvc0 xenith.cmd=sh,-c,echo%20a%2Cb%25,,%c3%A9 quiet\n");

    expect("five words", options->words[4] && !options->words[5] && !options->bad);
    expect("plain word", text_equal(options->words[0], "sh"));
    expect("blank, comma and percent sign", text_equal(options->words[2], "echo a,b%"));
    expect("empty word", text_equal(options->words[3], ""));
    expect("digits of either case", text_equal(options->words[4], "\xc3\xa9"));
    expect("option after the command", options->quiet);
    options = parse("xenith.cmd=a,");
    expect("empty word at the end", options->words[1] && !options->words[1][0] && !options->words[2]);
    expect("empty option is no command", !parse("xenith.cmd=")->words[0]);
    expect("command elsewhere", parse("xenith.cmd=@")->command_in_xenstore && !parse("xenith.cmd=@")->words[0]);
    expect("a command with that name", !parse("xenith.cmd=%40")->command_in_xenstore);
    expect("no option is no command", !parse("root=/dev/xvda xxenith.cmd=a")->words[0]);
}

static void test_refusals(void)
{
    static char line[1024] = "xenith.cmd=";
    size_t length = text_length(line);

    expect("truncated escape", parse("xenith.cmd=a%2")->bad != NULL);
    expect("escape without digits", parse("xenith.cmd=a%zz")->bad != NULL);
    expect("escape across words", parse("xenith.cmd=a%2,b")->bad != NULL);
    expect("NUL byte", parse("xenith.cmd=a%00")->bad != NULL);
    for (int word = 0; word < MAX_WORDS; word++) {
        if (word)
            line[length++] = ',';
        line[length++] = 'w';
    }
    expect("as many words as there may be", !parse(line)->bad && parse(line)->words[MAX_WORDS - 1]);
    line[length++] = ',';
    line[length++] = 'w';
    expect("one word more", parse(line)->bad != NULL);
}

static void test_console(void)
{
    struct options *options = parse("xenith.rows=50 xenith.cols=132 xenith.console=pipe xenith.hostname=a");

    expect("size", options->rows == 50 && options->columns == 132);
    expect("pipe", options->pipe);
    expect("not quiet", !options->quiet);
    expect("hostname", text_equal(options->hostname, "a"));
    expect("size out of range", parse("xenith.rows=65536")->rows == -1);
    expect("size that is no number", parse("xenith.cols=1x")->columns == -1);
    expect("terminal by default", !parse("xenith.console=tty")->pipe);
}

static void test_copies(void)
{
    struct options *options = parse("quiet xenith.clock=-1500000 TERM=xterm a.b=c EDITOR=vi");

    expect("a copy", options->is_copy && options->clock == -1500000);
    expect("environment", text_equal(options->variables[0], "TERM=xterm") && text_equal(options->variables[1], "EDITOR=vi")
        && !options->variables[2]);
    expect("a clock that is no number", !parse("xenith.clock=1s")->is_copy && !parse("xenith.clock=")->is_copy);
    expect("a clock beyond a number", !parse("xenith.clock=1234567890123456789")->is_copy);
    expect("no copy by default", !parse("console=hvc0")->is_copy);
    expect("options elsewhere", parse("xenith.options=@")->options_in_xenstore);
    options = parse("A=0 B=1 C=2 D=3 E=4 F=5 G=6 H=7 I=8 J=9 K=10 L=11 M=12 N=13 O=14 P=15 Q=16");
    expect("as many variables as there may be", text_equal(options->variables[15], "P=15") && !options->variables[16]);
}

void init_main(long *stack)
{
    (void)stack;
    test_words();
    test_refusals();
    test_console();
    test_copies();
    SYSTEM1(exit_group, failures != 0);
}
