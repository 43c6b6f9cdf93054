"""The tables that make_docs.py makes: blocks of docs/performance.md, and a page for each kind of machine."""

from statistics import geometric_mean

from figure_files import PASSES, shape_text, threads_text

MADE = "<!-- Made by bench/make_docs.py, never by hand"
NOTHING = "Nothing was measured yet: `script/bench --update` does it.\n"
RATIOS = {"onednn_same_ratio": "oneDNN, same layout", "onednn_best_ratio": "oneDNN, its best",
          "pytorch_warm_ratio": "PyTorch, warm heap", "pytorch_plain_ratio": "PyTorch, plain"}
FIGURES = {"roofline_fraction": "fraction"} | RATIOS
# A suite with more shapes has no table of them.
MOST_SHAPES = 20


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


TITLES = {"layer_norm": "Layer norm", "rms_norm": "RMS norm", "group_norm": "Group norm",
          "instance_norm": "Instance norm"}


def title_of(row):
    """The part of the figures that a row belongs to, in words."""
    if row["op"] == "batch_norm":
        return f"Batch norm, {row['suite']}"
    return TITLES[row["op"]] + (f", {row['groups']} groups" if row["op"] == "group_norm" else "")


def grouped(rows, name):
    """Rows by what `name` gives of each, in their order."""
    groups = {}
    for row in rows:
        groups.setdefault(name(row), []).append(row)
    return groups


def mean(rows, name):
    """"0.60 (0.46)": the geometric mean of a figure and its lowest value; a dash where a row has none."""
    values = [row[name] for row in rows if name in row]
    return f"{geometric_mean(values):.2f} ({min(values):.2f})" if values and len(values) == len(rows) else "-"


def by_passes(rows):
    return sorted(rows, key=lambda row: PASSES.index(row["pass"]))


def layout_of(row):
    """Rows have one layout."""
    return "rows" if row["op"] in ("layer_norm", "rms_norm") else row["layout"].replace("_", " ")


def machines(figures):
    rows = []
    for kind, document in figures.items():
        machine = document["machine"]
        stamps = document["parts"].values()
        versions = [document["onednn"]] + ["PyTorch " + stamp["pytorch"] for stamp in stamps if stamp["pytorch"]][:1]
        rows.append([f"[{kind}](performance/{kind}.md)", machine["processor"], str(machine["processors"]),
                     machine["isa"], f"{machine['l2'] >> 10} KiB", document["date"][:10],
                     ", ".join(filter(None, versions)) or "-"])
    return table(["kind", "processor", "processors", "instruction set", "L2", "measured", "beside"], rows)


def summary_of(kind, document):
    text = f"\n**{kind}**, f32, one thread; the lowest value in brackets:\n\n"
    chosen = by_passes([row for row in document["rows"] if row["dtype"] == "f32" and row["threads"] == 1])
    order = grouped(document["rows"], title_of)
    chosen.sort(key=lambda row: (list(order).index(title_of(row)), row["layout"]))
    lines = [[title, layout, name, *(mean(rows, figure) for figure in FIGURES)]
             for (title, layout, name), rows in grouped(
                 chosen, lambda row: (title_of(row), layout_of(row), row["pass"])).items()]
    return text + table(["operation", "layout", "pass", *FIGURES.values()], lines)


def blocks(figures):
    """The text of each block, by its name."""
    if not figures:
        return {"machines": NOTHING, "chart": NOTHING, "summary": NOTHING}
    chart = "![Speed as a fraction of the roofline: unitvar, oneDNN and PyTorch](images/performance.svg)\n"
    return {"machines": machines(figures), "chart": chart,
            "summary": "".join(summary_of(kind, document) for kind, document in figures.items()).lstrip("\n")}


# --- A page.

def beside_f32(rows, all_rows):
    """f32's time over that of these rows, a geometric mean."""
    f32 = {tuple(row["shape"]): row["ms"] for row in all_rows if row["dtype"] == "f32"
           and all(row[name] == rows[0][name] for name in ("layout", "pass", "threads"))}
    ratios = [f32[tuple(row["shape"])] / row["ms"] for row in rows if tuple(row["shape"]) in f32]
    return f"{geometric_mean(ratios):.2f}" if len(ratios) == len(rows) else "-"


def means_table(rows):
    group = lambda row: (layout_of(row), row["dtype"], str(row["threads"]), row["pass"])
    lines = [[*name, *(mean(members, figure) for figure in FIGURES), beside_f32(members, rows)]
             for name, members in grouped(rows, group).items()]
    return table(["layout", "dtype", "threads", "pass", *FIGURES.values(), "f32's time over its"], lines)


def shapes_table(rows):
    """A line a shape: each pass's fraction, and what oneDNN on the same layout and PyTorch take."""
    shown = [row for row in rows if row["dtype"] == "f32" and row["threads"] == 1]
    lines, passes = [], [name for name in PASSES if any(row["pass"] == name for row in shown)]
    for (shape, layout), members in grouped(shown, lambda row: (shape_text(row["shape"]), layout_of(row))).items():
        by_pass = {row["pass"]: row for row in members}
        cells = [f"{by_pass[name][figure]:.2f}" if figure in by_pass.get(name, {}) else "-" for name in passes
                 for figure in ("roofline_fraction", "onednn_same_ratio", "pytorch_warm_ratio")]
        lines.append([shape, layout, *cells])
    head = [cell for name in passes for cell in (name, "oneDNN", "PyTorch")]
    return table(["shape", "layout", *head], lines)


def step_table(rows):
    """Forward and backward of a network, each shape weighted by its count."""
    total = lambda members, name: sum(
        row["count"] * row["ms"] * (row["roofline_fraction"] if name == "roofline" else row[name] if name else 1)
        for row in members)
    names = {"": "unitvar", "roofline": "roofline"} | RATIOS
    lines = []
    training = [row for row in rows if row["pass"] != "inference"]
    for name, members in grouped(training, lambda row: (layout_of(row), row["dtype"], str(row["threads"]))).items():
        has = lambda figure: figure in ("", "roofline") or all(figure in row for row in members)
        lines.append([*name, *(f"{total(members, figure):.4g}" if has(figure) else "-" for figure in names)])
    return table(["layout", "dtype", "threads", *names.values()], lines)


def part_text(title, rows, stamp):
    commands = "\n".join("build/release/tools/unitvar/" + command for command in stamp["commands"])
    commit = f" of commit {stamp['commit']}" if stamp["commit"] else ""
    text = (f"\n## {title}\n\nMeasured on {stamp['date'][:10]}{commit}:\n\n```sh\n{commands}\n```\n\n"
            f"{means_table(rows)}")
    if len({tuple(row["shape"]) for row in rows}) <= MOST_SHAPES:
        text += (f"\nShapes, f32, {threads_text(1)}: fraction of the roofline, oneDNN on the same layout, PyTorch with a "
                 f"warm heap.\n\n{shapes_table(rows)}")
    if rows[0]["op"] == "batch_norm":
        text += f"\nOne training step, each shape weighted by its count. Milliseconds:\n\n{step_table(rows)}"
    return text


def page(kind, document):
    machine = document["machine"]
    text = (f"{MADE}, from bench/figures/{kind}.json -->\n# {kind}\n\n{machine['processor']}, "
            f"{machine['processors']} processors, {machine['isa']}, {machine['l2'] >> 10} KiB of L2 a core"
            f"{', ' + document['onednn'] if document['onednn'] else ''}. How to read the columns: "
            "[performance.md](../performance.md#unitvar-bench).\nMeans are geometric, over the shapes of a suite, the "
            "lowest value in brackets. Ratios are the other's time over ours.\n")
    for title, rows in grouped(document["rows"], title_of).items():
        name = rows[0]["suite"] if rows[0]["op"] == "batch_norm" else rows[0]["op"]
        text += part_text(title, rows, document["parts"][name])
    return text
