/* The style of the HTML report. Included once, by html.c. */
#ifndef BENCH_HTML_STYLE_H
#define BENCH_HTML_STYLE_H

#define HTML_STYLE                                                                                                 \
    ":root{color-scheme:light dark;--ink:#1b1f24;--dim:#59636e;--paper:#fff;--band:#f3f5f7;--rule:#d5dbe1;"        \
    "--ours:#1f6fb8;--floor:#8b96a2;--peer:#c07a2c;--bad:#b3202c;--good:#0b6e4f;--warn:#fff3cd;"                   \
    "--c0:#59636e;--c1:#1f6fb8;--c2:#0b6e4f;--c3:#7b3fa0;--c4:#8b96a2;--c5:#c07a2c;--c6:#b3202c;--c7:#c2478f}"     \
    "@media(prefers-color-scheme:dark){:root{--ink:#e4e8ec;--dim:#9aa5b1;--paper:#14171b;--band:#1c2127;"          \
    "--rule:#343c45;--ours:#5aa9ee;--floor:#7d8894;--peer:#e0a458;--bad:#ff7b84;--good:#5fc9a0;--warn:#3d3415;"    \
    "--c0:#b4bec8;--c1:#5aa9ee;--c2:#5fc9a0;--c3:#c29be6;--c4:#7d8894;--c5:#e0a458;--c6:#ff7b84;--c7:#ef9ccb}}"    \
    "body{font:15px/1.45 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:1180px;"          \
    "margin:0 auto;padding:24px}h1{font-size:26px;margin:0 0 4px}h2{font-size:20px;margin:36px 0 8px;"             \
    "border-bottom:1px solid var(--rule);padding-bottom:4px}p{margin:6px 0}.dim{color:var(--dim)}"                 \
    "code,pre{font:13px/1.4 ui-monospace,monospace;background:var(--band);border-radius:4px}code{padding:1px 4px}" \
    "pre{padding:10px;overflow-x:auto;white-space:pre-wrap;word-break:break-word}"                                 \
    ".warn{background:var(--warn);border-left:4px solid var(--bad);padding:8px 12px;margin:10px 0}"                \
    ".wide{overflow-x:auto}table{border-collapse:collapse;font-size:13px;margin:8px 0;"                            \
    "font-variant-numeric:tabular-nums}th,td{padding:2px 9px;text-align:right;white-space:nowrap;"                 \
    "border-bottom:1px solid var(--rule)}th{background:var(--band);font-weight:600}"                               \
    "td.word,th.word{text-align:left}td.long{text-align:left;white-space:normal}"                                  \
    "tr.ours td.word{color:var(--ours)}tr.peer td.word{color:var(--peer)}tr.floor td.word{color:var(--dim)}"       \
    ".stall,.worse{color:var(--bad);font-weight:600}.better{color:var(--good);font-weight:600}"                    \
    "summary{cursor:pointer;margin:10px 0 4px}svg{width:100%;max-width:860px;height:auto;display:block;"           \
    "margin:14px 0}svg text{font:11px system-ui,sans-serif;fill:var(--ink)}"                                       \
    "svg .title text{font-size:13px;font-weight:600}rect.ours{fill:var(--ours)}rect.floor{fill:var(--floor)}"      \
    "rect.peer{fill:var(--peer)}path{fill:none}.spread{stroke:var(--ink);stroke-width:2}"                          \
    ".axis{stroke:var(--dim)}.grid{stroke:var(--rule)}.mark{stroke:var(--bad);stroke-dasharray:6 4}"               \
    ".line{stroke-width:2}.bare{stroke-dasharray:4 3}"                                                             \
    ".c0{stroke:var(--c0)}.c1{stroke:var(--c1)}.c2{stroke:var(--c2)}.c3{stroke:var(--c3)}.c4{stroke:var(--c4)}"    \
    ".c5{stroke:var(--c5)}.c6{stroke:var(--c6)}.c7{stroke:var(--c7)}"

#endif
