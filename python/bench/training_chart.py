"""The picture of training.py: how many times as fast each way is as torch's modules, drawn by gnuplot."""

from __future__ import annotations

from typing import Any

import staged_chart
from training_networks import TITLES

# Safe for colour-blind readers.
COLOURS = {"compile": "#E69F00", "convert": "#56B4E9", "fused": "#0072B2"}
NAMES = {"compile": "torch.compile", "convert": "convert", "fused": "convert(fuse=True)"}
LAYOUTS = {"contiguous": "NCHW", "channels_last": "channels last"}
TITLE = {"step": "training step", "inference": "inference"}
WIDTH, HEIGHT = 1120, 480


def label(row: dict[str, Any]) -> str:
    """Network, layout and batch, on two lines."""
    layout = f"{LAYOUTS[row['layout']]}, " if len(row["input"]) == 3 else ""
    return f"{TITLES[row['network']]}\\n{layout}batch {row['batch']}"


def bars(rows: list[dict[str, Any]], what: str, ways: list[str]) -> str:
    """Data and bars of one panel. Bars stand on 1: torch's modules."""
    width, blocks, plots = 0.8 / len(ways), "", []
    for k, way in enumerate(ways):
        gains = (row["time"][what]["torch"] / row["time"][what][way] for row in rows)
        blocks += f"${what}_{way} << EOD\n" + "".join(f"{gain:.6g}\n" for gain in gains) + "EOD\n"
        left, right = -0.4 + width * k, -0.4 + width * (k + 0.92)
        box = f"($0 + {left:.3f}):(1):($0 + {left:.3f}):($0 + {right:.3f}):(1):1"
        number = f"($0 + {(left + right) / 2:.3f}):($1 > 1 ? $1 : 1):(sprintf('%.2f', $1))"
        plots.append(f"${what}_{way} using {box} with boxxyerror lc rgb '{COLOURS[way]}' title '{NAMES[way]}'")
        plots.append(f"${what}_{way} using {number} with labels font ',8' offset 0,0.6 tc rgb '#444444' notitle")
    return f"{blocks}set title '{TITLE[what]}: how many times as fast as torch' font ',12'\nplot {', '.join(plots)}\n"


def script(figures: dict[str, Any], file: str) -> str:
    """For gnuplot."""
    rows = [row for row in figures["rows"] if "time" in row]
    ways = [way for way in COLOURS if way in rows[0]["time"]["step"]]
    if "torch" not in rows[0]["time"]["step"] or not ways:
        raise SystemExit(f"training.py: --plot has the ways {list(rows[0]['time']['step'])}, want torch and another")
    of = figures["machine"]
    if file.endswith(".svg"):
        terminal = f"svg size {WIDTH},{2 * HEIGHT} font 'DejaVu Sans,11' background '#FFFFFF'"
    else:
        terminal = (
            f"pngcairo size {2 * WIDTH},{4 * HEIGHT} font 'DejaVu Sans,11' fontscale 2 linewidth 2 pointscale 2 "
            "background rgb 'white'"
        )
    quoted = file.replace("'", "''")
    heap = "heap set by " + ", ".join(of["heap"]) if of["heap"] else "heap of the system"
    plain, heap = (text.translate(staged_chart.PLAIN) for text in (of["processor"], heap))
    labels = ", ".join(f'"{label(row)}" {place}' for place, row in enumerate(rows))
    gains = [row["time"][what]["torch"] / row["time"][what][way] for row in rows for what in TITLE for way in ways]
    return (
        f"set terminal {terminal} enhanced\nset output '{quoted}'\n{staged_chart.STYLE}unset logscale\n"
        'set multiplot layout 2,1 title "{/=14 Networks in PyTorch with unitvar}\\n'
        f"{{/=10 {plain}, {staged_chart.threads_of(of)}, PyTorch {of['torch']}, {heap}, medians of {of['rounds']} "
        'rounds}"\n'
        "set arrow 1 from graph 0, first 1 to graph 1, first 1 nohead lc rgb '#333333' lw 1.5 front\n"
        f"set key top left reverse Left horizontal samplen 1.5 font ',10'\nset xtics ({labels})\n"
        f"set xrange [-0.6:{len(rows) - 0.4}]\n"
        f"set yrange [{min(0.9, 0.95 * min(gains)):.3g}:{1.15 * max(1.0, *gains):.3g}]\n"
        + "".join(bars(rows, what, ways) for what in TITLE)
        + "unset multiplot\n"
    )


def draw(figures: dict[str, Any], file: str) -> None:
    """Writes the picture."""
    staged_chart.gnuplot(script(figures, file), "training.py")
