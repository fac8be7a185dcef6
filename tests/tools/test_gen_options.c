/* The command line: what is taken, and that everything else gets a sentence with what was found. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tools/gen/options.h"

#define WORDS_MAX 64

/* Words at blanks; the text lives on until the next line, because options point into it. */
static int parse(struct options *options, const char *line, struct error *err)
{
    static char self[] = "sluice-gen";
    static char text[1024];
    char *words[WORDS_MAX] = {self};
    int n = 1;
    snprintf(text, sizeof(text), "%s", line);
    char *rest = NULL;
    for (char *word = strtok_r(text, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        words[n++] = word;
    }
    return options_parse(options, n, words, err);
}

Test(gen_options, defaults)
{
    struct options o;
    struct error err = {{0}};
    cr_assert_eq(parse(&o, "udp 127.0.0.1:4000", &err), 0, "%s", err.text);
    cr_assert_eq(o.transport, TRANSPORT_UDP);
    cr_assert_str_eq(o.target, "127.0.0.1:4000");
    cr_assert_eq(o.rate.per_1000_s, 1000000);
    cr_assert_eq(o.sizes, 1);
    cr_assert_eq(o.size[0].bytes, 1472);
    cr_assert_eq(o.format, WRITER_SLUICE);
    cr_assert_eq(o.content, WRITER_EACH);
    cr_assert_eq(o.seed, 1);
    cr_assert_eq(o.late_by, 100);
    cr_assert_eq(o.spin_us, 200);
    cr_assert_eq(o.core, -1);
    cr_assert_eq(o.head.vlan, FRAME_VLAN_NONE);
    cr_assert(o.head.checksum);
}

Test(gen_options, everything_at_once)
{
    struct options o;
    struct error err = {{0}};
    cr_assert_eq(
        parse(&o,
              "packet eth0 --rate 9.84Gbit/s --sizes 64:7,570:4,1472 --count 100 --seconds 2.5 --burst 32 --seed "
              "7 --lose 0.1 --duplicate 0.2 --reorder 0.3 --late 0.1 --corrupt 0.3 --vlan 12 --to-mac "
              "02:00:00:00:0a:0B --to-ip 10.0.0.1 --to-port 5000 --no-checksum --full drop --json",
              &err),
        0, "%s", err.text);
    cr_assert(o.rate.in_bits);
    cr_assert_eq(o.sizes, 3);
    cr_assert_eq(o.size[1].weight, 4);
    cr_assert_eq(o.size[2].weight, 1);
    cr_assert_eq(options_bytes_max(&o), 1472);
    cr_assert_eq(o.head.vlan, 12);
    cr_assert_eq(o.head.to_mac[5], 11);
    cr_assert_eq(o.head.to_port, 5000);
    cr_assert_not(o.head.checksum);
    cr_assert(o.drop_when_full);
}

Test(gen_options, a_file_decides_its_format)
{
    struct options o;
    struct error err = {{0}};
    cr_assert_eq(parse(&o, "udp h:1 --file x.vdif", &err), 0);
    cr_assert(o.format == WRITER_FILE && !o.is_capture && !options_whole_frames(&o));
    cr_assert_eq(parse(&o, "udp h:1 --file x --format vdif", &err), 0);
    cr_assert(o.format == WRITER_FILE && !o.is_capture);
    cr_assert_eq(parse(&o, "udp h:1 --format vdif --frames-per-second 25600 --threads 8 --size 1032", &err), 0);
    cr_assert(o.format == WRITER_VDIF && o.threads == 8);
    cr_assert_eq(parse(&o, "packet e --file x.pcap", &err), 0);
    cr_assert(o.format == WRITER_FILE && o.is_capture && options_whole_frames(&o));
    cr_assert_eq(parse(&o, "udp h:1 --file x.pcap", &err), 0);
    cr_assert_not(options_whole_frames(&o));
}

Test(gen_options, bad_ones_get_a_sentence)
{
    const struct {
        const char *line;
        const char *says;
    } bad[] = {
        {"", "expected udp ADDRESS:PORT"},
        {"udp", "found 1 words"},
        {"udp a b", "found 3 words"},
        {"tcp 127.0.0.1:1", "expected one of udp, packet, dpdk, found 'tcp'"},
        {"udp h:1 --what", "--what: expected an option of sluice-gen"},
        {"udp h:1 --rate", "--rate: expected a value behind it"},
        {"udp h:1 --rate fast", "--rate: expected a rate"},
        {"udp h:1 --size 70000", "--size: expected a size of payload, 0 to 65507 bytes, found '70000'"},
        {"udp h:1 --size -1", "found '-1'"},
        {"udp h:1 --size 64:7", "--sizes mixes several"},
        {"udp h:1 --sizes 64:0", "--sizes: expected up to 16 sizes"},
        {"udp h:1 --sizes 64,,70", "found '64,,70'"},
        {"udp h:1 --sizes 64,", "found '64,'"},
        {"udp h:1 --sizes 50,50,50,50,50,50,50,50,50,50,50,50,50,50,50,50,50", "up to 16"},
        {"udp h:1 --size 31", "expected at least 32 bytes, which is the format's header, found 31"},
        {"udp h:1 --size 32 --corrupt 0.1", "expected at least 33 bytes"},
        {"udp h:1 --size 7 --format field", "expected at least 8 bytes"},
        {"udp h:1 --lose 1.5", "--lose: expected a number from 0 to 1, found '1.5'"},
        {"udp h:1 --lose nan", "found 'nan'"},
        {"udp h:1 --lose 0.6 --duplicate 0.6", "expected at most 1 together, found 1.2"},
        {"udp h:1 --lose-tail 5", "--lose-tail: expected fewer than --count"},
        {"udp h:1 --lose-tail 5 --count 5", "found 5 of 5"},
        {"udp h:1 --late-by 0", "--late-by: expected a whole number from 1 to 4095, found '0'"},
        {"udp h:1 --burst 257", "from 0 to 256"},
        {"udp h:1 --spin-us -1", "--spin-us: expected a whole number from 0 to 1000000, found '-1'"},
        {"udp h:1 --count 1.5", "found '1.5'"},
        {"udp h:1 --count 99999999999999999999999", "--count"},
        {"udp h:1 --seconds -1", "--seconds"},
        {"udp h:1 --format tar", "expected one of sluice, field, raw, vdif, found 'tar'"},
        {"udp h:1 --format vdif", "--format vdif: expected --file"},
        {"udp h:1 --format vdif --frames-per-second 5 --size 1001", "expected a multiple of 8 bytes"},
        {"udp h:1 --format vdif --frames-per-second 5 --size 24", "expected at least 32 bytes"},
        {"udp h:1 --threads 0", "--threads: expected a whole number from 1 to 32"},
        {"udp h:1 --content none", "expected one of each, same"},
        {"udp h:1 --full never", "expected one of wait, drop"},
        {"udp h:1 --heartbeat-ms 5 --format raw", "expected --format sluice"},
        {"udp h:1 --vlan 5", "over udp the kernel writes the headers"},
        {"packet e --vlan 4096", "--vlan: expected a whole number from 0 to 4095"},
        {"packet e --to-mac 1:2:3", "expected an address such as"},
        {"packet e --to-mac 01:02:03:04:05:06:07", "expected an address such as"},
        {"packet e --to-ip 300.1.1.1", "expected an IPv4 address"},
        {"packet e --ethertype 5ff", "expected an EtherType"},
        {"packet e --to-port 0", "--to-port"},
        {"packet e --core 0.5", "--core: expected a whole number"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct options o;
        struct error err = {{0}};
        cr_assert_lt(parse(&o, bad[i].line, &err), 0, "'%s' was taken", bad[i].line);
        cr_assert(strstr(err.text, bad[i].says) != NULL, "'%s': %s", bad[i].line, err.text);
    }
}

Test(gen_options, a_runs_line_changes_the_run_and_nothing_else)
{
    struct options o;
    struct error err = {{0}};
    char line[] = " --rate 5Mpps --size 100 --count 3\n";
    char port[] = "--to-port 5";
    char word[] = "udp";
    char bad[] = "--size 5";
    char empty[] = "\n";
    cr_assert_eq(parse(&o, "udp h:1 --seed 9 --control", &err), 0);
    cr_assert_eq(options_parse_line(&o, line, &err), 0, "%s", err.text);
    cr_assert_eq(o.rate.per_1000_s, UINT64_C(5000000000));
    cr_assert_eq(o.size[0].bytes, 100);
    cr_assert_eq(o.seed, 9);
    cr_assert_eq(options_parse_line(&o, empty, &err), 0);
    cr_assert_lt(options_parse_line(&o, port, &err), 0);
    cr_assert(strstr(err.text, "--to-port: expected on the command line") != NULL, "%s", err.text);
    cr_assert_lt(options_parse_line(&o, word, &err), 0);
    cr_assert(strstr(err.text, "found 'udp'") != NULL, "%s", err.text);
    cr_assert_lt(options_parse_line(&o, bad, &err), 0);
    cr_assert(strstr(err.text, "at least 32") != NULL, "%s", err.text);
}
