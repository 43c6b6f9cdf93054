"""The chart that make_docs.py draws: bars beside the roofline, per pass and layout, for a reader in a hurry."""

from statistics import geometric_mean

from figure_files import PASSES

SUITE, DTYPE, THREADS = "resnet_50", "f32", 1
LAYOUTS = ("channels_first", "channels_last")
# Safe for colour-blind readers.
BARS = (("unitvar", None, "#0072B2"), ("oneDNN, same layout", "onednn_same_ratio", "#E69F00"),
        ("oneDNN, its best layout", "onednn_best_ratio", "#F0E442"),
        ("PyTorch, warm heap", "pytorch_warm_ratio", "#CC79A7"))
WIDTH, TITLE, PANEL = 900, 80, 300

STYLE = """set style fill solid 0.9 noborder
set border 3 lc rgb '#555555'
set tics nomirror out tc rgb '#222222'
set grid ytics lc rgb '#DDDDDD' lw 1 lt 1
set yrange [0:1.2]
set ytics 0.2
set xrange [-0.6:5.6]
set ylabel 'part of the speed of memory' font ',11'
set arrow 1 from graph 0, first 1 to graph 1, first 1 nohead lc rgb '#333333' lw 1.5 dt 2 front
set label 1 'roofline' at graph 0.995, first 1.04 right font ',10' tc rgb '#333333'
"""


def speed(rows, ratio):
    """As a fraction of the roofline, the geometric mean over the shapes; "NaN" is no bar."""
    if not rows or (ratio and not all(ratio in row for row in rows)):
        return "NaN"
    return f"{geometric_mean([row['roofline_fraction'] / (row[ratio] if ratio else 1) for row in rows]):.4g}"


def measured_bars(documents):
    """Those of which any row has a figure."""
    return [bar for bar in BARS
            if bar[1] is None or any(bar[1] in row for document in documents for row in document["rows"])]


def data(name, document, shown_bars):
    chosen = [row for row in document["rows"] if row["op"] == "batch_norm"
              and (row["suite"], row["dtype"], row["threads"]) == (SUITE, DTYPE, THREADS)]
    lines = []
    for layout in LAYOUTS:
        for of_pass in PASSES:
            rows = [row for row in chosen if row["layout"] == layout and row["pass"] == of_pass]
            lines.append(" ".join(speed(rows, ratio) for _, ratio, _ in shown_bars))
    return f"${name} << EOD\n" + "\n".join(lines) + "\nEOD\n"


def ticks():
    labels = [f"\"{of_pass}\\n{layout.replace('_', ' ')}\"" for layout in LAYOUTS for of_pass in PASSES]
    return "set xtics (" + ", ".join(f"{label} {place}" for place, label in enumerate(labels)) + ")\n"


def bars(name, shown_bars):
    width = 0.84 / len(shown_bars)
    plots = []
    for k, (title, _, colour) in enumerate(shown_bars, start=1):
        left, right = -0.42 + width * (k - 1), -0.42 + width * (k - 0.06)
        box = f"($0 + {left:.3f}):{k}:($0 + {left:.3f}):($0 + {right:.3f}):(0):{k}"
        number = f"($0 + {(left + right) / 2:.3f}):(${k} + 0.035):(sprintf('%.2f', ${k}))"
        plots.append(f"${name} using {box} with boxxyerror lc rgb '{colour}' title '{title}'")
        plots.append(f"${name} using {number} with labels font ',8' tc rgb '#444444' notitle")
    return "plot " + ", \\\n  ".join(plots) + "\n"


def script(figures):
    """For gnuplot; none without figures of the suite."""
    shown = {kind: document for kind, document in figures.items()
             if any(row["suite"] == SUITE for row in document["rows"])}
    if not shown:
        return None
    height = TITLE + PANEL * len(shown)
    text = ("# Made by bench/make_docs.py of bench/figures.\n"
            f"set terminal svg size {WIDTH},{height} font 'DejaVu Sans,11' background '#FFFFFF'\n{STYLE}{ticks()}")
    names = {kind: f"data{number}" for number, kind in enumerate(shown)}
    shown_bars = measured_bars(shown.values())
    text += "".join(data(names[kind], document, shown_bars) for kind, document in shown.items())
    text += ("set multiplot title \"{/=14 Batch normalization beside the speed of memory}\\n"
             "{/=10 shapes of ResNet-50, batch 50, f32, one thread; geometric means, higher is faster}\"\n")
    for number, (kind, document) in enumerate(shown.items()):
        top = 1 - (TITLE + PANEL * number) / height
        processor = document["machine"]["processor"].replace("'", "")
        key = f"set key at screen 0.98, {1 - 56 / height:.4f} horizontal samplen 1 font ',10'"
        text += (f"set tmargin at screen {top - 32 / height:.4f}\n"
                 f"set bmargin at screen {top - (PANEL - 48) / height:.4f}\n"
                 f"set title '{kind}: {processor}' font ',11' noenhanced\n{key if number == 0 else 'unset key'}\n")
        text += bars(names[kind], shown_bars)
    return text + "unset multiplot\n"
