"""The code blocks of the guide run as doctests, each page in an empty folder of its own."""

import pytest

collect_ignore = ["conf.py"]
collect_ignore_glob = ["_build/*", "gallery/*", "generated/*"]


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
