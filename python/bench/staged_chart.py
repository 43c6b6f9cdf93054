"""The picture of staged.py: times and ratios of three backward passes, drawn by gnuplot."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

# Safe for colour-blind readers.
TIMES = (
    ("staged", "staged graph", "#D55E00"),
    ("alt", "batchnorm\\\\_backward\\\\_alt", "#E69F00"),
    ("unitvar", "unitvar.batch\\\\_norm\\\\_backward", "#0072B2"),
)
RATIOS = (
    ("staged/alt", "staged / alt", "#E69F00"),
    ("alt/unitvar", "alt / unitvar", "#56B4E9"),
    ("staged/unitvar", "staged / unitvar", "#0072B2"),
)
# What enhanced text of gnuplot takes for a command.
PLAIN = str.maketrans({**dict.fromkeys('"\\^{}@&~', " "), "_": "\\\\_"})
WIDTH, TITLE, PANEL = 1120, 92, 390

STYLE = """set border 3 lc rgb '#555555'
set style fill solid 0.9 noborder
set tics nomirror out tc rgb '#222222'
set grid ytics lc rgb '#DDDDDD' lw 1 lt 1
set logscale y
set format y '%g'
set xtics rotate by 30 right font ',10'
"""
BAND = "#FBEDCF"
CLAIM = f"""set object 1 rectangle from graph 0, first 2 to graph 1, first 4 fc rgb '{BAND}' fs solid 1 noborder behind
set arrow 1 from graph 0, first 1 to graph 1, first 1 nohead lc rgb '#333333' lw 1.5 front
"""


def block(name: str, rows: list[dict[str, Any]]) -> str:
    """Data of one dtype: the shape, three times, three ratios."""
    lines = []
    for row in rows:
        values = [row["ms"][key] for key, _, _ in TIMES] + [row["ratios"][key] for key, _, _ in RATIOS]
        lines.append(" ".join([row["shape"].replace("x", "×"), *(f"{value:.6g}" for value in values)]))
    return f"${name} << EOD\n" + "\n".join(lines) + "\nEOD\n"


def ticks(rows: list[dict[str, Any]]) -> str:
    """The shapes along the axis."""
    labels = (f"'{row['shape'].replace('x', '×')}' {place}" for place, row in enumerate(rows))
    return f"set xtics ({', '.join(labels)})\nset xrange [-0.6:{len(rows) - 0.4}]\n"


def times(name: str) -> str:
    """Points on a logarithmic axis."""
    return (
        "plot "
        + ", ".join(
            f"${name} using 0:{column} with points pt {mark} ps 0.8 lc rgb '{colour}' title \"{title}\""
            for column, mark, (_, title, colour) in zip((2, 3, 4), (7, 5, 9), TIMES)
        )
        + "\n"
    )


def ratios(name: str) -> str:
    """Bars that stand on 1, with their number."""
    width = 0.84 / len(RATIOS)
    plots = [f"1/0 with boxes lc rgb '{BAND}' title 'staged / alt as the post has it: 2 to 4'"]
    for k, (_, title, colour) in enumerate(RATIOS):
        column, left, right = 5 + k, -0.42 + width * k, -0.42 + width * (k + 0.92)
        box = f"($0 + {left:.3f}):(1):($0 + {left:.3f}):($0 + {right:.3f}):(1):{column}"
        text = f"sprintf(${column} < 9.95 ? '%.1f' : '%.0f', ${column})"
        number = f"($0 + {(left + right) / 2:.3f}):(${column} > 1 ? ${column} : 1):({text})"
        plots.append(f"${name} using {box} with boxxyerror lc rgb '{colour}' title '{title}'")
        plots.append(f"${name} using {number} with labels font ',8' offset 0,0.6 tc rgb '#444444' notitle")
    return "plot " + ", ".join(plots) + "\n"


def panels(name: str, rows: list[dict[str, Any]], top: float, height: int) -> str:
    """Times left, ratios right; the position counts from the bottom of the picture."""
    place = f"set tmargin at screen {top - 34 / height:.4f}\nset bmargin at screen {top - (PANEL - 92) / height:.4f}\n"
    key = "set key top left reverse Left samplen 1.5 font ',10'\n"
    all_ratios = [1.0, 4.0, *(value for row in rows for value in row["ratios"].values())]
    slowest = max(value for row in rows for value in row["ms"].values())
    return (
        f"{place}{key}{ticks(rows)}"
        "set lmargin at screen 0.075\nset rmargin at screen 0.48\n"
        f"set title '{rows[0]['dtype']}: time of one backward, ms (logarithmic)' font ',12'\n"
        f"unset object 1\nunset arrow 1\nset yrange [*:{20 * slowest:.3g}]\nset ytics auto\n{times(name)}"
        "set lmargin at screen 0.555\nset rmargin at screen 0.985\n"
        f"set title '{rows[0]['dtype']}: how many times as long (logarithmic)' font ',12'\n"
        f"{CLAIM}set yrange [{0.8 * min(all_ratios):.3g}:{12 * max(all_ratios):.3g}]\n"
        f"set ytics ({', '.join(str(2.0**power) for power in range(-3, 11))})\n{ratios(name)}"
    )


def threads_of(machine: dict[str, Any]) -> str:
    """1 thread, 2 threads."""
    return f"{machine['threads']} thread{'s' if machine['threads'] > 1 else ''}"


def script(figures: dict[str, Any], file: str) -> str:
    """For gnuplot."""
    by_dtype: dict[str, list[dict[str, Any]]] = {}
    for row in figures["rows"]:
        by_dtype.setdefault(row["dtype"], []).append(row)
    height = TITLE + PANEL * len(by_dtype)
    of = figures["machine"]
    if file.endswith(".svg"):
        terminal = f"svg size {WIDTH},{height} font 'DejaVu Sans,11' background '#FFFFFF'"
    else:
        terminal = (
            f"pngcairo size {2 * WIDTH},{2 * height} font 'DejaVu Sans,11' fontscale 2 linewidth 2 pointscale 2 "
            "background rgb 'white'"
        )
    heap = "heap set by " + ", ".join(of["heap"]) if of["heap"] else "heap of the system"
    plain, heap = (text.translate(PLAIN) for text in (of["processor"], heap))
    quoted = file.replace("'", "''")
    text = f"set terminal {terminal} enhanced\nset output '{quoted}'\n{STYLE}"
    text += "".join(block(dtype, rows) for dtype, rows in by_dtype.items())
    text += (
        'set multiplot title "{/=14 Backward of batch normalization in NumPy: staged graph, analytic form, unitvar}\\n'
        f'{{/=10 {plain}, {threads_of(of)}, NumPy {of["numpy"]}, {heap}, medians of {of["rounds"]} rounds}}"\n'
    )
    for number, (dtype, rows) in enumerate(by_dtype.items()):
        text += panels(dtype, rows, 1 - (TITLE + PANEL * number - 20) / height, height)
    return text + "unset multiplot\n"


def draw(figures: dict[str, Any], file: str) -> None:
    """Writes the picture."""
    gnuplot(script(figures, file), "staged.py")


def gnuplot(text: str, program: str) -> None:
    """Runs a script; ends the program if gnuplot is not there or refuses."""
    try:
        subprocess.run(["gnuplot"], input=text, text=True, check=True)
    except FileNotFoundError:
        sys.exit(f"{program}: --plot needs gnuplot on the PATH (Debian: gnuplot-nox)")
    except subprocess.CalledProcessError as error:
        sys.exit(f"{program}: gnuplot ended with code {error.returncode}, want 0")
