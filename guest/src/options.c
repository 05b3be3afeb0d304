/*
 * Reading the options out of the kernel's command line.
 *
 * A command is carried as one option without blanks or quotes: each word percent-encoded as in a URL (RFC 3986, what
 * JavaScript's encodeURIComponent makes), the words separated by commas. `xenith.cmd=sh,-c,echo%20a%2Cb` is
 * sh -c 'echo a,b'. An empty word is legal; an empty option is no command.
 */
#include "options.h"
#include "system.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes the escapes of a word in place. Returns what is wrong with it, or null. */
static const char *decode_word(char *word)
{
    char *out = word;

    for (; *word; word++) {
        if (*word != '%') {
            *out++ = *word;
            continue;
        }
        int high = hex_digit(word[1]);
        int low = high < 0 ? -1 : hex_digit(word[2]);
        if (low < 0)
            return "a % that no two hexadecimal digits follow";
        if (high + low == 0)
            return "a NUL byte in a word";
        *out++ = high * 16 + low;
        word += 2;
    }
    *out = 0;
    return NULL;
}

void options_parse_command(struct options *options, char *text)
{
    int count = 0;

    while (*text) {
        char *word = text;

        if (count == MAX_WORDS) {
            options->bad = "more than 128 words";
            return;
        }
        while (*text && *text != ',')
            text++;
        int last = !*text;
        *text = 0;
        options->words[count++] = word;
        options->bad = decode_word(word);
        if (options->bad || last)
            break;
        text++;
        if (!*text && count < MAX_WORDS)
            options->words[count++] = text; /* the empty word after a final comma */
    }
    options->words[count] = NULL;
}

/* A variable of the environment: the kernel hands those of its own command line to init itself. */
static void parse_variable(struct options *options, char *option)
{
    size_t count = 0;

    for (const char *c = option; *c != '='; c++)
        if (!*c || *c == '.')
            return;
    while (options->variables[count])
        count++;
    if (count < MAX_VARIABLES)
        options->variables[count] = option;
}

static void parse_option(struct options *options, char *option)
{
    if (text_equal(option, "quiet"))
        options->quiet = 1;
    else if (text_equal(option, "xenith.options=@"))
        options->options_in_xenstore = 1;
    else if (text_equal(option, "xenith.cmd=@"))
        options->command_in_xenstore = 1;
    else if (text_starts_with(option, "xenith.cmd="))
        options_parse_command(options, option + 11);
    else if (text_equal(option, "xenith.console=pipe"))
        options->pipe = 1;
    else if (text_starts_with(option, "xenith.rows="))
        options->rows = number_of_text(option + 12);
    else if (text_starts_with(option, "xenith.cols="))
        options->columns = number_of_text(option + 12);
    else if (text_starts_with(option, "xenith.hostname="))
        options->hostname = option + 16;
    else if (text_starts_with(option, "xenith.clock="))
        options->is_copy = long_of_text(option + 13, &options->clock) == 0;
    else
        parse_variable(options, option);
}

void options_parse(struct options *options, char *line)
{
    memset(options, 0, sizeof *options);
    while (*line) {
        char *option = line;

        while (*line && *line != ' ' && *line != '\n')
            line++;
        if (*line)
            *line++ = 0;
        parse_option(options, option);
    }
}
