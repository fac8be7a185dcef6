/* What may be said of sources that share a port of DPDK, and of the groups that it joins. */

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <string.h>

#include "net/igmp.h"
#include "tests/daq/compile_text.h"

/* Two sources of one port, with these keys beside. */
static int compile_pair(const char *first, const char *second)
{
    return compile_format("instance: test\n"
                          "rings: [{name: one, slots: 8192}, {name: two, slots: 8192}]\n"
                          "workers: [{name: w}]\n"
                          "sources:\n"
                          "  - {name: x, kind: dpdk, ring: one, port: net_null0, %s}\n"
                          "  - {name: y, ring: two, %s}\n",
                          first, second);
}

#define ALSO "kind: dpdk, port: net_null0, "

Test(compile_dpdk, what_is_not_said)
{
    const struct source_plan *source = plan.worker[0].source;
    cr_assert_eq(compile_pair("packet: {to: \":5000\"}", ALSO "packet: {to: \"239.1.2.3:5000\"}"), 0, "%s",
                 errors.text);
    cr_assert_eq(source[0].dpdk.steer, DPDK_STEER_AUTO);
    cr_assert_eq(source[0].dpdk.igmp, 0, "no group, nothing to say");
    cr_assert_eq(source[1].dpdk.igmp, IGMP_V3);
    cr_assert_eq(source[1].dpdk.igmp_address, 0);
}

Test(compile_dpdk, what_is_said)
{
    const struct source_plan *source = plan.worker[0].source;
    cr_assert_eq(
        compile_pair("steer: flow, packet: {to: \"239.1.2.3:5000\"}, igmp: {version: v2, address: 10.0.0.5}",
                     ALSO "steer: flow, packet: {to: \":5000\"}"),
        0, "%s", errors.text);
    cr_assert_eq(source[0].dpdk.steer, DPDK_STEER_FLOW);
    cr_assert_eq(source[1].dpdk.steer, DPDK_STEER_FLOW);
    cr_assert_eq(source[0].dpdk.igmp, IGMP_V2);
    cr_assert_eq(source[0].dpdk.igmp_address, inet_addr("10.0.0.5"));
    cr_assert_eq(compile_pair("packet: {to: \"232.1.2.3:5000\", from: 10.0.0.9}", "kind: dpdk, port: net_null1"), 0,
                 "%s", errors.text);
    cr_assert_eq(compile_pair("steer: rss_ip, packet: {to: \"232.1.2.3:5000\"}, igmp: {version: none}",
                              ALSO "steer: rss_ip"),
                 0, "%s", errors.text);
}

Test(compile_dpdk, what_cannot_be)
{
    static const struct {
        const char *first;
        const char *second;
        const char *piece;
    } cases[] = {
        {"steer: sideways", ALSO "packet: {vlan: 1}", "steer"},
        {"steer: flow", ALSO "packet: {vlan: 1}", "a port steers in one way"},
        {"steer: flow, packet: {vlan: 1}", ALSO "steer: flow, packet: {vlan: 1}", "a frame has one source"},
        {"packet: {to: \"10.0.0.1:5000\"}, igmp: {version: v2}", ALSO "packet: {vlan: 1}", "224.0.0.0"},
        {"igmp: {}", ALSO "packet: {vlan: 1}", "224.0.0.0"},
        {"packet: {to: \"239.0.0.1\"}, igmp: {version: v4}", ALSO "packet: {vlan: 1}", "version"},
        {"packet: {to: \"239.0.0.1\"}, igmp: {address: here}", ALSO "packet: {vlan: 1}", "found 'here'"},
        {"packet: {to: \"239.0.0.1\"}, igmp: {address: 239.0.0.1}", ALSO "packet: {vlan: 1}", "one of a host"},
        {"packet: {to: \"232.0.0.1\"}", ALSO "packet: {vlan: 1}", "name it in packet.from"},
        {"packet: {to: \"232.0.0.1\", from: 10.0.0.1}, igmp: {version: v2}", ALSO "packet: {vlan: 1}", "version"},
        {"packet: {to: \"239.0.0.1\"}, igmp: {version: v2}", ALSO "packet: {to: \"239.0.0.2\"}",
         "one host with one address"},
        {"packet: {to: \"239.0.0.1\"}, igmp: {address: 10.0.0.1}",
         ALSO "packet: {to: \"239.0.0.2\"}, igmp: {address: 10.0.0.2}", "one host with one address"},
        {"packet: {vlan: 1}", "kind: udp, listen: \"127.0.0.1:5000\", steer: none", "belongs to kind: dpdk"},
        {"packet: {vlan: 1}", "kind: afxdp, interface: eth0, igmp: {version: v2}", "belongs to kind: dpdk"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_assert_lt(compile_pair(cases[i].first, cases[i].second), 0, "'%s' was accepted", cases[i].first);
        cr_assert_not_null(strstr(errors.text, cases[i].piece), "'%s': expected '%s' in\n%s", cases[i].first,
                           cases[i].piece, errors.text);
    }
}
