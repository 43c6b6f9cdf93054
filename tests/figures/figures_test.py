"""Tests of the scripts of bench/ that keep figures. Argument: the program unitvar."""

import copy
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import unittest

BENCH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bench")
sys.path.insert(0, BENCH)

import figure_files  # noqa: E402
import figure_tables  # noqa: E402
import make_docs  # noqa: E402
import measure_figures  # noqa: E402
import pytorch_compare  # noqa: E402
from figure_files import Refused  # noqa: E402

TOOL = sys.argv.pop() if len(sys.argv) > 1 else None
MACHINE = {"processor": "AMD EPYC @ 2 GHz", "isa": "avx2", "l1": 32768, "l2": 524288, "processors": 2,
           "kind": "avx2-512k"}


def row(op="batch_norm", suite="resnet_50", **more):
    made = {"op": op, "suite": suite, "shape": [2, 3, 1, 4, 5], "count": 2, "layout": "channels_first", "dtype": "f32",
            "pass": "forward", "threads": 1, "ms": 1.23456, "roofline_fraction": 0.512345}
    return made | more


def document(rows, **more):
    return {"unitvar": "0.1.0", "date": "2026-11-01T10:00:00Z", "machine": MACHINE, "onednn": "oneDNN 2.6.3",
            "complete": True, "rows": rows} | more


def stamp():
    return {"date": "2026-11-01T10:00:00Z", "commit": "abc", "pytorch": "2.15.0", "commands": ["unitvar bench"]}


class Folder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()


class FigureFiles(Folder):
    def test_a_row_is_a_line(self):
        text = figure_files.text(document([row(), row(dtype="f64")]))
        self.assertEqual(json.loads(text), document([row(), row(dtype="f64")]))
        self.assertEqual(sum(line.startswith('  {"op":"batch_norm"') for line in text.splitlines()), 2)

    def test_what_is_wrong_is_named(self):
        for text, named in (("{", "is no file of `unitvar bench --json`"), ("[]", "rows is null"),
                            ('{"rows": 3}', "rows is 3"), ('{"rows": [4]}', "rows[0] is 4, want an object"),
                            ('{"rows": [{}]}', "rows[0] has no op")):
            with self.assertRaisesRegex(Refused, named.replace("[", r"\[")):
                figure_files.read(self.write("broken.json", text))
        with self.assertRaisesRegex(Refused, "cannot read"):
            figure_files.read(self.path("missing.json"))


class MeasureFigures(unittest.TestCase):
    def test_rows_keep_four_digits_of_what_is_compared(self):
        slim = measure_figures.slim(row(gbps=3.0, onednn_same_ratio=4.56789, onednn_best_ratio=None))
        self.assertEqual(slim, row(ms=1.235, roofline_fraction=0.5123) | {"onednn_same_ratio": 4.568})

    def test_a_part_takes_the_place_of_the_old_one(self):
        layers, images = row("layer_norm", "rows", ms=7.0), row(ms=5.0)
        first = measure_figures.merged(None, document([layers]), {"layer_norm": stamp()})
        both = measure_figures.merged(first, document([images]), {"resnet_50": stamp()})
        self.assertEqual([measure_figures.part_of(one) for one in both["rows"]], ["resnet_50", "layer_norm"])
        again = measure_figures.merged(both, document([images | {"ms": 4.0}], date="2026-12-01"),
                                       {"resnet_50": stamp() | {"date": "2026-12-01"}})
        self.assertEqual([one["ms"] for one in again["rows"]], [4.0, 7.0])
        self.assertEqual({name: part["date"][:7] for name, part in again["parts"].items()},
                         {"resnet_50": "2026-12", "layer_norm": "2026-11"})
        self.assertFalse(again["complete"])

    def test_parts_of_different_circumstances_are_not_mixed(self):
        first = measure_figures.merged(None, document([row()]), {"resnet_50": stamp()})
        other = document([row("layer_norm", "rows")], onednn="oneDNN 3.14")
        with self.assertRaisesRegex(Refused, "want all renewed"):
            measure_figures.merged(first, other, {"layer_norm": stamp()})
        alone = measure_figures.merged(first, document([row()], onednn="oneDNN 3.14"), {"resnet_50": stamp()})
        self.assertEqual(alone["onednn"], "oneDNN 3.14")


class PytorchCompare(Folder):
    def test_a_warm_heap_is_one_that_glibc_keeps(self):
        ours = {"PATH": "/bin", "MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_MAX_": "7", "GLIBC_TUNABLES": "x"}
        self.assertEqual(pytorch_compare.environment_of("plain", ours), {"PATH": "/bin"})
        self.assertEqual(pytorch_compare.environment_of("warm", ours), {"PATH": "/bin"} | pytorch_compare.WARM_HEAP)

    def test_ratios_are_times_of_ours(self):
        made = pytorch_compare.with_pytorch(row(ms=2.0), {"warm": 3.0, "plain": 10.0})
        self.assertEqual((made["pytorch_warm_ratio"], made["pytorch_plain_ratio"]), (1.5, 5.0))
        self.assertIn("1.50", pytorch_compare.line_of(made))
        self.assertEqual(list(pytorch_compare.totals([made])),
                         ["batch_norm channels_first, f32, 1 thread, forward: geometric means: warm 1.50, lowest 1.50; "
                          "plain 5.00, lowest 5.00"])

    def test_rows_of_one_tensor_follow_each_other(self):
        rows = [row(**{"pass": name}, shape=shape) for name in ("forward", "backward")
                for shape in ([9, 1, 1, 1, 1], [2, 1, 1, 1, 1])]
        self.assertEqual([one["shape"][0] for one in pytorch_compare.in_order_of_tensors(rows)], [2, 2, 9, 9])

    @unittest.skipUnless(importlib.util.find_spec("torch"), "no torch")
    def test_pytorch_is_measured_twice(self):
        images, rows_of_8 = [6, 4, 1, 3, 3], [6, 8, 1, 1, 1]
        shapes = {"batch_norm": images, "layer_norm": rows_of_8, "rms_norm": rows_of_8, "group_norm": images,
                  "instance_norm": images}
        rows = [row(op, shape=shape, layout="channels_last", groups=2, **{"pass": name}) for op, shape in shapes.items()
                for name in ("forward", "backward")]
        path = self.write("ours.json", figure_files.text(document(rows)))
        pytorch_compare.compare(path, self.path("both.json"), 1)
        both = figure_files.read(self.path("both.json"))["rows"]
        self.assertEqual([one["op"] for one in both], [one["op"] for one in rows])
        for one in both:
            self.assertGreater(one["pytorch_warm_ratio"], 0)
            self.assertGreater(one["pytorch_plain_ratio"], 0)


SKELETON = "# Performance\n" + "".join(f"\n<!-- figures: {name} -->\n<!-- /figures -->\n" for name in
                                       ("chart", "machines", "summary"))


class MakeDocs(Folder):
    def setUp(self):
        super().setUp()
        self.write("docs/performance.md", SKELETON)
        self.write("docs/performance/by-hand.md", "# By hand\n")
        os.makedirs(self.path("docs/images"))
        os.makedirs(self.path("bench/figures"))

    def make(self, *more):
        return subprocess.run([sys.executable, os.path.join(BENCH, "make_docs.py"), "--root", self.folder, *more],
                              capture_output=True, text=True, check=False)

    def figures(self):
        rows = [row(layout=layout, dtype=dtype, **{"pass": name}, onednn_same_ratio=4.0, pytorch_warm_ratio=2.0)
                for layout in ("channels_first", "channels_last") for dtype in ("f32", "bf16")
                for name in ("forward", "backward", "inference")]
        layers = [row("layer_norm", "rows", layout="channels_last", **{"pass": name})
                  for name in ("forward", "backward")]
        stamps = {name: stamp() for name in ("resnet_50", "layer_norm")}
        return measure_figures.merged(None, document(rows + layers), stamps)

    def test_no_figures_are_said_to_be_none(self):
        self.assertEqual(self.make().returncode, 0)
        self.assertEqual(self.read("docs/performance.md").count("Nothing was measured yet"), 3)
        self.assertEqual(self.make("--check").returncode, 0)

    def test_the_documents_are_made_and_then_fresh(self):
        self.write("bench/figures/avx2-512k.json", figure_files.text(self.figures()))
        stale = self.make("--check")
        self.assertEqual(stale.returncode, 1)
        self.assertIn("docs/performance.md, docs/performance/avx2-512k.md", stale.stderr)
        self.assertEqual(self.read("docs/performance.md"), SKELETON)
        made = self.make()
        self.assertEqual(made.returncode, 0, made.stderr)
        self.assertEqual(self.make("--check").stderr, "")
        line = "| Batch norm, resnet_50 | channels last | backward | 0.51 (0.51) | 4.00 (4.00) | - | 2.00 (2.00) | - |"
        self.assertIn(line, self.read("docs/performance.md"))
        self.assertIn("| rows | f32 | 1 | forward | 0.51 (0.51) |", self.read("docs/performance/avx2-512k.md"))
        self.assertIn("</svg>", self.read("docs/images/performance.svg"))
        self.assertEqual(self.make().stdout, "")

    def test_what_is_changed_by_hand_is_found(self):
        self.write("bench/figures/avx2-512k.json", figure_files.text(self.figures()))
        self.make()
        for name in ("docs/performance.md", "docs/performance/avx2-512k.md", "docs/images/performance.gnuplot"):
            text = self.read(name)
            self.write(name, text.replace("0.51", "0.61"))
            self.assertIn(name, self.make("--check").stderr)
            self.write(name, text)
        os.remove(self.path("docs/images/performance.svg"))
        self.assertIn("docs/images/performance.svg", self.make("--check").stderr)

    def test_other_figures_give_another_picture(self):
        figures = self.figures()
        self.write("bench/figures/avx2-512k.json", figure_files.text(figures))
        self.make()
        changed = copy.deepcopy(figures)
        changed["rows"][0]["roofline_fraction"] = 0.9
        self.write("bench/figures/avx2-512k.json", figure_files.text(changed))
        self.assertIn("docs/images/performance.svg", self.make("--check").stderr)

    def test_pages_of_machines_that_are_gone_go(self):
        self.write("bench/figures/avx2-512k.json", figure_files.text(self.figures()))
        self.make()
        os.remove(self.path("bench/figures/avx2-512k.json"))
        self.make()
        self.assertEqual(sorted(os.listdir(self.path("docs/performance"))), ["by-hand.md"])
        self.assertEqual(os.listdir(self.path("docs/images")), [])

    def test_blocks_are_known_and_all_there(self):
        for text, named in ((SKELETON.replace("chart", "cart"), "block is 'cart'"),
                            (SKELETON.replace("figures: summary", ""), "has no block")):
            self.write("docs/performance.md", text)
            refused = self.make()
            self.assertEqual(refused.returncode, 1)
            self.assertIn(named, refused.stderr)
            self.assertEqual(self.read("docs/performance.md"), text)


@unittest.skipUnless(TOOL, "no program")
class WithTheTool(Folder):
    def test_its_figures_compare_with_it(self):
        ours = self.path("ours.json")
        subprocess.run([TOOL, "bench", "--shape", "2,3,2,2", "--threads", "1", "--repeat", "1", "--json", ours],
                       capture_output=True, check=True)
        measured = figure_files.read(ours)
        measured["rows"] = [one | {"suite": "resnet_50", "roofline_fraction": 1e-9} for one in measured["rows"]]
        figures = measure_figures.merged(None, measured, {"resnet_50": stamp()})
        path = self.write("figures.json", figure_files.text(figures))
        same = subprocess.run([TOOL, "bench", "--compare", path, "--repeat", "1"], capture_output=True, text=True,
                              check=False)
        self.assertEqual(same.returncode, 0, same.stderr)
        self.assertIn("batch_norm, suite resnet_50", same.stdout)

    def test_the_kind_of_this_machine_is_told(self):
        told = subprocess.run([sys.executable, os.path.join(BENCH, "measure_figures.py"), "--kind", "--tool", TOOL],
                              capture_output=True, text=True, check=False)
        self.assertRegex(told.stdout, r"^\w+-(\d+k|unknown)\n$")

    def test_parts_are_known(self):
        refused = subprocess.run([sys.executable, os.path.join(BENCH, "measure_figures.py"), "resnet_51"],
                                 capture_output=True, text=True, check=False)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("part is 'resnet_51', want resnet_50, densenet_121", refused.stderr)


if __name__ == "__main__":
    unittest.main()
