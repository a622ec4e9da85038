"""The table of the Model Zoo in ``docs/models.md``, made of ``engine/store/zoo.json``.

Write it anew with ``PYTHONPATH=SlicerCNNSeg python Testing/zoo_table.py``; ``Testing/engine/store/test_zoo.py`` sees
that it is up to date.
"""

from __future__ import annotations

from pathlib import Path

from SlicerCNNSegLib.engine.store.zoo import RUNS, zoo_entries

PAGE = Path(__file__).resolve().parents[1] / "docs" / "models.md"
BEGIN, END = "<!-- the Model Zoo: Testing/zoo_table.py -->", "<!-- end of the Model Zoo -->"


def table() -> str:
    """The rows, those that run first."""
    lines = [
        "| bundle | version | config | task | here | why, or what is done otherwise |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    entries = sorted(zoo_entries(), key=lambda entry: entry.status != RUNS)
    lines += [
        f"| `{e.id}` | {e.version} | `{e.config}` | {e.task} | {e.status} | {e.reason or e.note} |" for e in entries
    ]
    return "\n".join(lines)


def with_table(page: str) -> str:
    """The page with the table between its two marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
