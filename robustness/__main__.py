"""Make every fault as often as asked, and print a line of counts for each script."""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import time
from typing import NamedTuple


class Script(NamedTuple):
    """A module of this folder whose ``main`` prints its counts in the last line."""

    name: str
    option: str  # of how many faults to make
    n_faults: int
    n_quick: int
    needs: str | None = None  # a package that is an extra
    more: tuple[str, ...] = ()  # arguments


SCRIPTS = (
    Script("kill_save", "--kills", 150, 10),
    Script("kill_fit", "--kills", 200, 10),
    Script("kill_fit", "--kills", 100, 10, more=("--signal", "SIGINT")),
    Script("kill_search", "--kills", 20, 2),
    Script("rewriting", "--loads", 500, 50),
    Script("fuzz_files", "--mutations", 6000, 300),
    Script("forks", "--forks", 200, 20),
    Script("dask_kills", "--kills", 20, 2, needs="distributed"),
)


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    names = sorted({script.name for script in SCRIPTS})
    parser = argparse.ArgumentParser(prog="python -m robustness", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=names, default=names)
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn, default: 0")
    parser.add_argument("--quick", action="store_true", help="few faults, to see that it runs")
    return parser.parse_args(arguments)


def run(script: Script, n_faults: int, seed: int) -> tuple[int, str]:
    """Run a script in a process of its own; return its exit code and its last line."""
    if script.needs and importlib.util.find_spec(script.needs) is None:
        return 0, f"skipped: {script.needs} is not installed"
    module = f"robustness.{script.name}"
    command = [sys.executable, "-m", module, script.option, str(n_faults), "--seed", str(seed)]
    command += script.more
    last = "printed nothing"
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(f"  {line}", end="", flush=True)
            last = line.strip() or last
    return process.returncode, last


def main(arguments: list[str] | None = None) -> int:
    """Run the scripts one by one; return 1 if any found what should not be."""
    options = parse_arguments(arguments)
    results = []
    for script in SCRIPTS:
        if script.name not in options.only:
            continue
        print(f"{script.name}:", flush=True)
        started = time.perf_counter()
        status, counts = run(
            script, script.n_quick if options.quick else script.n_faults, options.seed
        )
        results.append((script.name, status, counts, time.perf_counter() - started))
    print()
    for name, status, counts, seconds in results:
        verdict = "held" if status == 0 else f"DID NOT HOLD (exit code {status})"
        print(f"{name:16} {verdict}, {seconds:.0f} s: {counts}")
    return int(any(status != 0 for _, status, _, _ in results))


if __name__ == "__main__":
    sys.exit(main())
