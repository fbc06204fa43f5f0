"""Measure every case, print the table, and write it with all numbers."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks.cases import Case, Options, make_cases
from benchmarks.memory import peak_bytes
from benchmarks.report import Row, environment, format_report, format_row
from benchmarks.timing import alternate

RESULTS = Path(__file__).parent / "results"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="NAME",
        help="cases whose name begins so (default: all): "
        + ", ".join(case.name for case in make_cases()),
    )
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="default: 5")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument("--no-torch", action="store_true", help="leave torch out")
    parser.add_argument(
        "--full", action="store_true", help="slow contenders run every step of the recipe"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="where to write table.md and table.json (default: benchmarks/results; nothing is "
        "written after --only or --quick unless this is given); after --only, rows of other cases "
        "that are there stay",
    )
    arguments = parser.parse_args()
    if arguments.repeats < 1:
        parser.error("--repeats must be at least 1")
    return arguments


def choose(cases: list[Case], beginnings: list[str] | None) -> list[Case]:
    """Return the cases whose names begin with one of some strings."""
    if beginnings is None:
        return cases
    for beginning in beginnings:
        if not any(case.name.startswith(beginning) for case in cases):
            names = ", ".join(case.name for case in cases)
            raise SystemExit(f"no case begins with {beginning!r}; there are {names}")
    return [case for case in cases if case.name.startswith(tuple(beginnings))]


def measure(case: Case, options: Options, repeats: int) -> Row:
    """Measure the time of a case, then its memory."""
    prepared = case.prepare(options)
    return Row(
        case.name,
        case.title,
        case.dtype,
        case.group,
        seconds=alternate(prepared.contenders, repeats),
        peak_bytes={name: peak_bytes(work) for name, work in prepared.memory.items()},
        x_bytes=prepared.x_bytes,
        notes=prepared.notes,
    )


def earlier_rows(folder: Path, about: dict, repeats: int) -> dict[str, Row]:
    """Return the rows that a folder holds, by name; they must have been measured alike."""
    path = folder / "table.json"
    if not path.exists():
        return {}
    numbers = json.loads(path.read_text(encoding="utf-8"))
    for name, value in (about | {"repeats": repeats}).items():
        if numbers.get(name) != value:
            raise SystemExit(f"{path} was measured with other {name}: {numbers.get(name)}")
    return {row["name"]: Row.from_dict(row) for row in numbers["rows"]}


def write(folder: Path, report: str, numbers: dict) -> None:
    """Write the table, and all numbers behind it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "table.md").write_text(report, encoding="utf-8")
    text = json.dumps(numbers, indent=1, ensure_ascii=False)
    (folder / "table.json").write_text(text + "\n", encoding="utf-8")


def main() -> None:
    arguments = parse_arguments()
    options = Options(arguments.quick, not arguments.no_torch, arguments.full)
    about = environment()
    partial = arguments.quick or arguments.only is not None
    folder = arguments.output or (None if partial else RESULTS)
    measured = {}
    if arguments.only is not None and folder is not None:
        measured = earlier_rows(folder, about, arguments.repeats)
    for case in choose(make_cases(), arguments.only):
        measured[case.name] = row = measure(case, options, arguments.repeats)
        # to see how far it is; the table itself goes to the standard output
        print(format_row(row), file=sys.stderr, flush=True)
    rows = [measured[case.name] for case in make_cases() if case.name in measured]
    report = format_report(rows, about, arguments.repeats)
    if arguments.quick:
        report = "**--quick: sizes are not those of the titles, times mean nothing.**\n\n" + report
    print(report)
    if folder is not None:
        numbers = about | {"repeats": arguments.repeats, "rows": [row.as_dict() for row in rows]}
        write(folder, report, numbers)


if __name__ == "__main__":
    main()
