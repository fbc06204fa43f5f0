"""Build the kernels with sanitizers and run their tests: no report is allowed.

Needs gcc and Linux. Memory errors end the run at once; undefined behaviour is printed with where it
happens. Leaks are not looked for: the interpreter keeps what it pleases.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
FLAGS = "-fsanitize=address,undefined -fno-omit-frame-pointer -g -O1"
# The interpreter itself is not instrumented, so the libraries come before it
LIBRARIES = ("libasan.so", "libubsan.so", "libstdc++.so")
TESTS = ("test_kernels.py", "test_activations.py", "test_dropout.py")


def build(folder: Path) -> None:
    """Copy the package to a folder, and compile it there."""
    for name in ("skdnn", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("*.so", "*.pyc"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    settings = {"SKDNN_CFLAGS": FLAGS, "SKDNN_LDFLAGS": FLAGS, "SKDNN_BUILD": "required"}
    # pip brings what a build needs
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", "built", "."]
    subprocess.run(pip, cwd=folder, env=os.environ | settings, check=True)
    for built in folder.glob("built/skdnn/kernels/_step*.so"):
        shutil.move(built, folder / "skdnn" / "kernels")


def libraries() -> str:
    """Return the paths of the sanitizers' libraries."""
    asked = (["gcc", f"-print-file-name={name}"] for name in LIBRARIES)
    return " ".join(subprocess.check_output(command, text=True).strip() for command in asked)


def test(folder: Path, arguments: list[str]) -> int:
    """Run tests under the sanitizers; return the exit code."""
    settings = {
        "LD_PRELOAD": libraries(),
        "ASAN_OPTIONS": "detect_leaks=0",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
        "PYTHONMALLOC": "malloc",  # so that every object is watched
        "PYTHONPATH": str(folder),
        "SKDNN_KERNELS": "compiled",
        "OPENBLAS_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=folder, env=os.environ | settings, check=False).returncode


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m robustness.sanitizers", description=__doc__)
    parser.add_argument("arguments", nargs="*", help=f"of pytest, default: {' '.join(TESTS)}")
    arguments = parser.parse_args().arguments or [f"tests/{name}" for name in TESTS]
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
        code = test(Path(folder), arguments)
    print("0 reports" if code == 0 else "failed: see above")
    raise SystemExit(code)


if __name__ == "__main__":
    main()
