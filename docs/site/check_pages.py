"""Checks that every link of pages and style sheets to a file or an anchor among them leads there. Fetches nothing.

    check_pages.py FOLDER

Also refused: what a page would load from the network (scripts, style sheets, images).
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
#: Relations of <link> that name a page and load nothing.
NAMED_ONLY = {"index", "search", "next", "prev", "canonical", "author", "help", "copyright"}


class Page(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value for name, value in attrs if value}
        self.anchors.update(values[name] for name in ("id", "name") if name in values)
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag in LOADED and LOADED[tag] in values:
            named_only = tag == "link" and values.get("rel") in NAMED_ONLY
            (self.links if named_only else self.loaded).append(values[LOADED[tag]])


def problems_of(folder: Path) -> tuple[list[str], int]:
    """What is wrong, and how many links were looked at."""
    pages = {path: Page(path) for path in sorted(folder.rglob("*.html"))}
    problems, count = [], 0
    for path, page in pages.items():
        name = path.relative_to(folder)
        for link in page.loaded:
            if urlsplit(link).netloc:
                problems.append(f"{name}: loads {link} from the network")
        for link in page.links + page.loaded:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            count += 1
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file():
                problems.append(f"{name}: no file {link}")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                problems.append(f"{name}: no anchor {link}")
    for path in sorted(folder.rglob("*.css")):
        for link in re.findall(r"url\(['\"]?([^'\")]+)", path.read_text(encoding="utf-8")):
            parts = urlsplit(link)
            if parts.scheme == "data":
                continue
            count += 1
            if parts.netloc or not (path.parent / unquote(parts.path)).is_file():
                problems.append(f"{path.relative_to(folder)}: no file {link}")
    return problems, count


def main() -> int:
    problems, count = problems_of(Path(sys.argv[1]).resolve())
    for problem in problems:
        print(problem, file=sys.stderr)
    if count == 0:
        print(f"no link in {sys.argv[1]}", file=sys.stderr)
        return 1
    print(f"{count} links, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
