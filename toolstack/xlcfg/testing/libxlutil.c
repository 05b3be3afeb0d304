/* What libxlutil makes of what it is given on standard input, to compare with; writes a line for each, "refused" or JSON.
 * With the argument "config" it reads, again and again, a line "LENGTH KEY KEY …" and so many bytes, and writes the values of
 * the keys, a character a byte. With "disk" and "rate" it reads specifications, a line each. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <libxlutil.h>

static void string(const char *s)
{
    putchar('"');
    for (; *s; s++) {
        if (*s < 32 || *s > 126 || *s == '"' || *s == '\\') printf("\\u%04x", (unsigned char)*s);
        else putchar(*s);
    }
    putchar('"');
}

static void list(const XLU_Config *config, const XLU_ConfigList *items)
{
    XLU_ConfigValue *item;
    putchar('[');
    for (int i = 0; (item = xlu_cfg_get_listitem2(items, i)); i++) {
        char *text;
        XLU_ConfigList *nested;
        if (i) putchar(',');
        if (!xlu_cfg_value_get_string(config, item, &text, 1)) string(text);
        else if (!xlu_cfg_value_get_list(config, item, &nested, 1)) list(config, nested);
    }
    putchar(']');
}

static void value(const XLU_Config *config, const char *key)
{
    const char *text;
    XLU_ConfigList *items;
    if (!xlu_cfg_get_string(config, key, &text, 1)) string(text);
    else if (!xlu_cfg_get_list(config, key, &items, 0, 1)) list(config, items);
    else printf("null");
}

static void config(char *line, FILE *nowhere)
{
    int length = atoi(strtok(line, " \n"));
    char *data = malloc(length + 1), *key;
    if (fread(data, 1, length, stdin) != (size_t)length) exit(1);
    XLU_Config *config = xlu_cfg_init(nowhere, "config");
    if (xlu_cfg_readdata(config, data, length)) {
        puts("refused");
    } else {
        putchar('[');
        for (int first = 1; (key = strtok(0, " \n")); first = 0) {
            if (!first) putchar(',');
            value(config, key);
        }
        puts("]");
        xlu_cfg_destroy(config);
    }
    free(data);
}

static void disk(const char *spec, XLU_Config *config)
{
    libxl_device_disk disk;
    libxl_device_disk_init(&disk);
    if (xlu_disk_parse(config, 1, &spec, &disk)) {
        puts("refused");
        return;
    }
    printf("{\"target\":");
    string(disk.pdev_path ? disk.pdev_path : "");
    printf(",\"format\":");
    string(libxl_disk_format_to_string(disk.format));
    printf(",\"vdev\":");
    string(disk.vdev);
    printf(",\"readwrite\":%s,\"cdrom\":%s,\"discard\":%s}\n", disk.readwrite ? "true" : "false", disk.is_cdrom ? "true" : "false",
           libxl_defbool_is_default(disk.discard_enable) ? "null" : libxl_defbool_val(disk.discard_enable) ? "true" : "false");
}

static void rate(const char *text, XLU_Config *config)
{
    libxl_device_nic nic;
    libxl_device_nic_init(&nic);
    errno = 0; /* it would take an older error for one of its own */
    if (xlu_vif_parse_rate(config, text, &nic)) puts("refused");
    else printf("{\"bytesPerInterval\":%llu,\"interval\":%u}\n", (unsigned long long)nic.rate_bytes_per_interval, nic.rate_interval_usecs);
}

int main(int argc, char **argv)
{
    char *line = 0;
    size_t size = 0;
    FILE *nowhere = fopen("/dev/null", "w");
    XLU_Config *none = xlu_cfg_init(nowhere, "none");
    while (argc > 1 && getline(&line, &size, stdin) > 0) {
        if (!strcmp(argv[1], "config")) {
            config(line, nowhere);
            continue;
        }
        line[strcspn(line, "\n")] = 0;
        if (!strcmp(argv[1], "disk")) disk(line, none);
        else rate(line, none);
    }
    return 0;
}
