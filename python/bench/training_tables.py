"""The tables of training.py, in Markdown."""

from __future__ import annotations

from typing import Any

from training_networks import TITLES

Row = dict[str, Any]
MOST_LAYERS = 20  # a network with more kinds of layers has its sum alone; the JSON has them all
LAYOUTS = {"contiguous": "NCHW", "channels_last": "channels last"}
HEADS = {"torch": "torch", "compile": "torch.compile", "convert": "convert", "fused": "convert(fuse=True)"}


def name_of(row: Row) -> list[str]:
    """The first cells: network, layout, batch."""
    has_images = len(row["input"]) == 3
    size = " x ".join(map(str, row["input"][1:] if has_images else row["input"]))
    return [f"{TITLES[row['network']]}, {size}", LAYOUTS[row["layout"]] if has_images else "-", str(row["batch"])]


def table(head: list[str], lines: list[list[str]]) -> str:
    """One table."""
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *lines]) + "\n"


def _ways(values: dict[str, Any], ways: list[str], form: str) -> list[str]:
    return [format(values[way], form) if way in values else "-" for way in ways]


def _times(rows: list[Row], ways: list[str]) -> str:
    others = [way for way in ways if way != "torch"] if "torch" in ways else []
    lines = []
    for row in rows:
        for what, ms in row["time"].items():
            gains = [f"{ms['torch'] / ms[way]:.2f}" for way in others]
            lines.append([*name_of(row), what, *_ways(ms, ways, ".1f"), *gains])
    head = [*(f"{HEADS[way]}, ms" for way in ways), *(f"torch / {HEADS[way]}" for way in others)]
    return table(["network", "layout", "batch", "", *head], lines)


def _shares(rows: list[Row], ways: list[str]) -> str:
    lines = [
        [*name_of(row), HEADS[way], f"{share['normalization']:.1%}", f"{share['activation']:.1%}"]
        for row in rows
        for way, share in row["share"].items()
    ]
    return table(["network", "layout", "batch", "", "normalization", "activation"], lines)


def _ratio(ms: dict[str, float]) -> list[str]:
    return [f"{ms['torch']:.3f}", f"{ms['convert']:.3f}", f"{ms['torch'] / ms['convert']:.2f}"]


def _layers(rows: list[Row], ways: list[str]) -> str:
    lines = []
    for row in rows:
        layers = row["layers"]
        sums = {
            what: {way: sum(layer["count"] * layer[what][way] for layer in layers) for way in ("torch", "convert")}
            for what in ("forward", "backward")
        }
        number = sum(layer["count"] for layer in layers)
        lines.append([*name_of(row), f"all {number}", "-", *_ratio(sums["forward"]), *_ratio(sums["backward"])])
        for layer in layers if len(layers) <= MOST_LAYERS else []:
            kind = f"each of {layer['count']} {layer['module']}"
            lines.append([*name_of(row), kind, layer["shape"], *_ratio(layer["forward"]), *_ratio(layer["backward"])])
    head = [f"{which}{end}" for which in ("forward", "backward") for end in (": torch, ms", ": ours, ms", ", ratio")]
    return table(["network", "layout", "batch", "modules", "x", *head], lines)


def _memory(rows: list[Row], ways: list[str]) -> str:
    lines = [
        [*name_of(row), HEADS[way], f"{of['peak_mib']:.0f}", f"{of['grown_mib']:.0f}", f"{of['faults']:.0f}"]
        for row in rows
        for way, of in row["memory"].items()
    ]
    return table(["network", "layout", "batch", "", "peak, MiB", "above start, MiB", "page faults a step"], lines)


def _losses(rows: list[Row], ways: list[str]) -> str:
    lines = [
        [*name_of(row), f"{row['losses'][0]['float64'][-1]:.6f}", HEADS[way], f"{of['last']:.1e}", f"{of['mean']:.1e}"]
        for row in rows
        for way, of in row["loss"].items()
    ]
    return table(["network", "layout", "batch", "loss in float64", "", "error at the last step", "mean error"], lines)


TABLES = {
    "time": ("Time", _times),
    "share": ("Share of a training step, by torch.profiler", _shares),
    "layers": ("Layer by layer", _layers),
    "memory": ("Memory of a process", _memory),
    "loss": ("Loss beside torch in float64", _losses),
}


def introduction(of: dict[str, Any]) -> str:
    """The machine in a sentence or two."""
    heap = " ".join(f"{name}={value}" for name, value in of["heap"].items()) or "as the system has it"
    return (
        f"{of['processor']}, {of['processors']} processors, {of['isa']}. unitvar {of['unitvar']}, "
        f"PyTorch {of['torch']}, Python {of['python']}, {of['threads']} threads. Heap: {heap}. "
        f"Medians of {of['rounds']} rounds; losses after {of['steps']} steps, {of['seeds']} runs.\n"
    )


def document(figures: dict[str, Any], ways: list[str]) -> str:
    """The machine, and a table of each part that was measured."""
    text = [introduction(figures["machine"])]
    for part, (title, make) in TABLES.items():
        rows = [row for row in figures["rows"] if part in row]
        if rows:
            text.append(f"{title}:\n\n{make(rows, ways)}")
    return "\n".join(text)
