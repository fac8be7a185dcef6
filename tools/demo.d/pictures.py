"""The two pictures, by gnuplot. Every run has its colour in both."""
import csv
import subprocess

import plant
import processes
from processes import DemoError

FOLDER = processes.DEMO / "pictures"
COLOURS = ("#0b6e4f", "#e08e00", "#c1121f")
STYLE = """\
set terminal pngcairo size 1500,900 font "DejaVu Sans,15" background rgb "white"
set border 3 lw 1.5 lc rgb "#555555"
set tics nomirror tc rgb "#333333"
set grid lc rgb "#dddddd" lt 1 lw 1
set title font ",20" tc rgb "#111111" offset 0,0.5
"""


def gnuplot(name, text):
    script = FOLDER / f"{name}.gnuplot"
    script.write_text(STYLE + text, encoding="utf-8")
    done = subprocess.run(["gnuplot", str(script)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, start_new_session=True, check=False)
    if done.returncode != 0:
        raise DemoError(f"gnuplot could not draw {name}.png from {script}: {done.stdout.strip()}")


def write_rows(name, rows):
    path = FOLDER / name
    path.write_text("".join(" ".join(f"{value:.9g}" for value in row) + "\n" for row in rows), encoding="ascii")
    return path


def later_than(taken):
    """(us, share of decisions that took at least so long), with few points where nothing can be seen."""
    rows, last = [], None
    for i, us in enumerate(taken):
        share = (len(taken) - i) / len(taken)
        if last is None or i + 200 > len(taken) or us > last * 1.01:
            rows.append((max(us, 1.0), share))
            last = us
    return rows


def latency(runs):
    lines = []
    for i, run in enumerate(runs):
        decisions, _ = run.plant.decisions()
        path = write_rows(f"latency{i}.dat", later_than([us for us, _ in decisions]))
        lines.append(f'"{path}" with steps lw 4 lc rgb "{COLOURS[i]}" title "{run.title}"')
        lines.append(f'"< tail -n 1 {path}" with points pt 7 ps 1.8 lc rgb "{COLOURS[i]}" notitle')
    gnuplot("latency", f"""
set output "{processes.DEMO / 'latency.png'}"
set title "How long a decision takes: from a sample leaving the plant to the command that has seen it"
set xlabel "time to the decision"
set ylabel "share of all decisions that took at least so long"
set logscale xy
set xrange [10:2e6]
set yrange [8e-5:1.5]
set xtics ("10 us" 10, "100 us" 100, "1 ms" 1e3, "10 ms" 1e4, "100 ms" 1e5, "1 s" 1e6)
set ytics ("all" 1, "1 in 10" 0.1, "1 in 100" 0.01, "1 in 1000" 0.001, "1 in 10 000" 0.0001)
set key at graph 0.985,0.97 top right Left reverse samplen 2 spacing 1.4 box lc rgb "#cccccc" opaque width 1 height 0.5
set arrow 1 from 500, graph 0 to 500, graph 1 nohead lc rgb "#444444" lw 2 dt 2 back
set label 1 "what was asked for:\\n500 us, every time" at 440, 2e-4 right tc rgb "#444444"
plot {", ".join(lines)}
""")


def command_words(run):
    late_us = run.result["limit_to_command_us"]
    if late_us is None:
        return f"{run.title}: no command"
    return f"{run.title}: command after " + (f"{late_us:,.0f} us" if late_us < 10000 else f"{late_us * 1e-3:,.0f} ms")


def pressure(runs):
    curves, near = [], []
    for i, run in enumerate(runs):
        with open(run.plant.folder / "series.csv", newline="", encoding="ascii") as series:
            rows = [(float(row["t_s"]), float(row["chamber_kpa"])) for row in csv.DictReader(series)
                    if "nan" not in row["t_s"] and 2.0 <= float(row["t_s"]) <= 7.5]
        path = write_rows(f"pressure{i}.dat", rows)
        # The widest below: runs that lie on one another all stay visible.
        style = f'lw {(8, 5, 3)[i]} lc rgb "{COLOURS[i]}"'
        curves.append(f'"{path}" with lines {style} notitle')
        near.append(f'"{path}" using (1e3*($1-{run.result["limit_crossed_t_s"] or 0})):2 with lines {style} notitle')
        command_s = run.result["command_t_s"]
        mark = f'pt {(5, 9, 7)[i]} ps {(3, 2, 2)[i]}'
        colour = f'lc rgb "{COLOURS[i]}"'
        if command_s is None:
            curves.append(f'NaN with linespoints {style} {mark} title "{command_words(run)}"')
            continue
        at = write_rows(f"command{i}.dat", [(command_s, nearest(rows, command_s))])
        curves.append(f'"{at}" with points {mark} {colour} notitle, NaN with linespoints {style} {mark} '
                      f'title "{command_words(run)}"')
        near.append(f'"{at}" using (1e3*($1-{run.result["limit_crossed_t_s"]})):2 with points {mark} {colour} notitle')
    gnuplot("pressure", f"""
set output "{processes.DEMO / 'pressure.png'}"
set multiplot
set title "The same accident: the cooling fails at 3 s, the relief valve must open in time"
set xlabel "scenario time, s"
set ylabel "chamber pressure, kPa"
set xrange [2.5:7]
set yrange [95:215]
set key at graph 0.985,0.33 top right Left reverse samplen 3 spacing 1.4 box lc rgb "#cccccc" opaque width 1 height 0.5
set arrow 1 from 2.5,{plant.BURST_KPA} to 7,{plant.BURST_KPA} nohead lc rgb "#c1121f" lw 2 dt 2 back
set label 1 "the seal bursts: {plant.BURST_KPA:g} kPa" at 2.55,{plant.BURST_KPA + 4} tc rgb "#c1121f"
set arrow 2 from 2.5,{plant.LIMIT_KPA} to 7,{plant.LIMIT_KPA} nohead lc rgb "#444444" lw 2 dt 2 back
set label 2 "the limit: {plant.LIMIT_KPA:g} kPa" at 2.55,{plant.LIMIT_KPA + 4} tc rgb "#444444"
set arrow 3 from 3,95 to 3,117 nohead lc rgb "#444444" lw 1.5 back
set label 3 "cooling fails" at 3,120 center tc rgb "#444444"
plot {", ".join(curves)}

# The moment of the crossing, enlarged.
unset label
unset arrow
unset key
set lmargin at screen 0.565
set rmargin at screen 0.955
set bmargin at screen 0.50
set tmargin at screen 0.785
set object 1 rectangle from screen 0.525,0.42 to screen 0.975,0.84 fillcolor rgb "white" fillstyle solid noborder behind
set border 15 lw 1 lc rgb "#999999"
set title "the moment of the crossing, enlarged" font ",13" offset 0,-0.6
set xlabel "ms after the limit was passed" font ",12" offset 0,0.5
unset ylabel
set tics font ",12"
set xrange [-2:12]
set yrange [149:152]
set xtics 2
set ytics 1
set arrow 2 from -2,{plant.LIMIT_KPA} to 12,{plant.LIMIT_KPA} nohead lc rgb "#444444" lw 2 dt 2 back
plot {", ".join(near)}
unset multiplot
""")


def nearest(rows, t_s):
    return min(rows, key=lambda row: abs(row[0] - t_s))[1]


def draw(runs):
    FOLDER.mkdir(parents=True, exist_ok=True)
    latency(runs)
    pressure(runs)
