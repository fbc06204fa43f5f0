"""The quality benchmark as Markdown tables and a picture."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata

__all__ = ["write"]

Array = np.ndarray
RESULTS = Path(__file__).parent / "results"
_MEASURES = ("auc", "log_loss", "fit", "predict")
_PACKAGES = ("scikit-learn", "lightgbm", "catboost", "xgboost")
# Headings of a table with a column for each model
_SHORT = {
    "DeepEnsembleClassifier": "ours",
    "RandomForestClassifier": "RandomForest",
    "ExtraTreesClassifier": "ExtraTrees",
    "HistGradientBoostingClassifier": "HistGB",
    "MLPClassifier": "MLP",
}


class Scores:
    """Mean of the splits of each table, by contender and measure."""

    def __init__(self, records: list[dict[str, Any]]) -> None:
        self._records = {(r["contender"], r["table"], r["split"]): r for r in records}

    def tables(self, contenders: list[str]) -> list[str]:
        """Return the tables that all of some contenders were fitted to, on both splits."""
        names = sorted({table for _, table, _ in self._records})
        return [
            name
            for name in names
            if all((c, name, split) in self._records for c in contenders for split in (0, 1))
        ]

    def of(self, contender: str, tables: list[str]) -> dict[str, Array]:
        """Return a number for each table; NaN where it was not measured."""
        return {
            measure: np.array(
                [
                    np.mean(
                        [
                            np.nan if (v := self._records[contender, t, s][measure]) is None else v
                            for s in (0, 1)
                        ]
                    )
                    for t in tables
                ],
                float,
            )
            for measure in _MEASURES
        }


def _geometric_mean(times: Array) -> str:
    return "" if np.isnan(times).any() else f"{np.exp(np.log(times.clip(1e-4)).mean()):.2f}"


def _peers(scores: Scores, ours: str, peers: list[str]) -> tuple[str, dict[str, Any]]:
    """Return the table of all contenders, and their numbers."""
    contenders = [ours, *(p for p in peers if scores.tables([ours, p]))]
    tables = scores.tables(contenders)
    numbers = {c: scores.of(c, tables) for c in contenders}
    ranks = {
        "auc": rankdata([-numbers[c]["auc"] for c in contenders], axis=0).mean(axis=1),
        "log_loss": rankdata([numbers[c]["log_loss"] for c in contenders], axis=0).mean(axis=1),
    }
    lines = [
        f"Means of {len(tables)} tables, two splits of each; the times are geometric means of CPU "
        "time, of prediction for all test rows.",
        "",
        "| model | ROC AUC | rank | log loss | rank | fit, s | predict, ms |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for k, name in enumerate(contenders):
        mine = numbers[name]
        lines.append(
            f"| {name} | {mine['auc'].mean():.4f} | {ranks['auc'][k]:.2f} | "
            f"{mine['log_loss'].mean():.4f} | {ranks['log_loss'][k]:.2f} | "
            f"{_geometric_mean(mine['fit'])} | {_geometric_mean(1e3 * mine['predict'])} |"
        )
    return "\n".join(lines), {"contenders": contenders, "numbers": numbers, "ranks": ranks}


def _ranks_by_seed(scores: Scores, ours: str, peers: list[str]) -> str:
    """Return the mean ranks of ours, and the best of others, for each seed of ours."""
    lines = []
    for seed, name in enumerate((ours, "random_state=1", "random_state=2")):
        if scores.tables([name]):
            ranks = _peers(scores, name, peers)[1]["ranks"].values()
            mine, best = (
                " and ".join(f"{r:.2f}" for r in part)
                for part in zip(*((r[0], r[1:].min()) for r in ranks), strict=True)
            )
            lines.append(f"random_state={seed}: {mine}, the best of the others {best}")
    return f"Mean ranks by ROC AUC and by log loss with {'; with '.join(lines)}."


def _with_error(differences: Array) -> str:
    error = differences.std(ddof=1) / np.sqrt(differences.size)
    return f"{1e4 * differences.mean():+.0f} ± {1e4 * error:.0f}"


def _ablations(scores: Scores, ours: str, names: list[str]) -> str:
    """Return what each change of a default brings, on the tables where it was measured."""
    lines = [
        "| instead of the default | tables | ROC AUC | better on | log loss | better on | time |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name in names:
        tables = scores.tables([ours, name])
        if not tables:
            continue
        mine, other = scores.of(ours, tables), scores.of(name, tables)
        auc, loss = other["auc"] - mine["auc"], other["log_loss"] - mine["log_loss"]
        ratio = np.exp(np.log(other["fit"] / mine["fit"]).mean())
        lines.append(
            f"| {name} | {len(tables)} | {_with_error(auc)} | {np.count_nonzero(auc > 0)} | "
            f"{_with_error(loss)} | {np.count_nonzero(loss < 0)} | {ratio:.2f} |"
        )
    return "\n".join(lines)


def _by_table(scores: Scores, contenders: list[str]) -> str:
    """Return log loss and ROC AUC of each table."""
    tables = scores.tables(contenders)
    numbers = {c: scores.of(c, tables) for c in contenders}
    lines = [
        "| table | " + " | ".join(_SHORT.get(c, c) for c in contenders) + " |",
        "|---|" + "---:|" * len(contenders),
    ]
    for k, table in enumerate(tables):
        cells = [f"{n['auc'][k]:.3f} / {n['log_loss'][k]:.3f}" for n in numbers.values()]
        lines.append(f"| {table} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _judgement(records: list[dict[str, Any]], ours: str) -> str:
    """Return how far the out-of-fold log loss is from that of new rows."""
    mine = [r for r in records if r["contender"] == ours]
    away = np.array([(r["oof_log_loss"] - r["log_loss"]) / r["error"] for r in mine])
    beyond = [f"{r['table']} {a:+.1f}" for r, a in zip(mine, away, strict=True) if abs(a) > 3]
    return (
        "`oof_log_loss_` less the log loss of the test rows, in standard errors of the difference: "
        f"{away.mean():+.2f} on average over {len(away)} fits, beyond 3 in "
        f"{', '.join(beyond) or 'none'}."
    )


def _draw(found: dict[str, Any]) -> None:
    """Draw ranks, and quality against time."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    contenders, ranks, numbers = found["contenders"], found["ranks"], found["numbers"]
    colors = [f"C{k}" for k in range(len(contenders))]
    fig, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    order = np.argsort(ranks["auc"] + ranks["log_loss"])[::-1]
    for place, k in enumerate(order):
        axes[0].plot([ranks["auc"][k], ranks["log_loss"][k]], [place, place], color=colors[k])
        axes[0].plot(ranks["auc"][k], place, "o", color=colors[k])
        axes[0].plot(ranks["log_loss"][k], place, "s", color=colors[k])
    axes[0].plot([], "ok", label="ROC AUC")
    axes[0].plot([], "sk", label="log loss")
    axes[0].set_yticks(range(len(order)), [contenders[k] for k in order])
    axes[0].set(xlabel="mean rank over the tables", title="The lower, the better")
    axes[0].legend()
    for k, name in enumerate(contenders):
        seconds = np.exp(np.log(numbers[name]["fit"]).mean())
        loss = numbers[name]["log_loss"].mean()
        axes[1].plot(seconds, loss, "o", color=colors[k])
        axes[1].annotate(name, (seconds, loss), xytext=(5, 3), textcoords="offset points", size=8)
    axes[1].set(
        xscale="log",
        xlabel="fit, CPU seconds (geometric mean)",
        ylabel="mean log loss",
        title="Quality against time",
    )
    axes[1].margins(x=0.3)
    fig.savefig(RESULTS / "quality.png", dpi=110)
    plt.close(fig)


def write(
    records: list[dict[str, Any]], *, ours: str, peers: list[str], ablations: list[str]
) -> None:
    """Write ``results/quality.md`` and ``results/quality.png``."""
    scores = Scores(records)
    table, found = _peers(scores, ours, peers)
    packages = []
    for name in _PACKAGES:
        try:
            packages.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    text = f"""# What defaults predict

`make quality` measures this: public tables of many kinds, of larger ones 5,000 rows drawn at
random; two splits of each, `StratifiedShuffleSplit(2, test_size=0.3, random_state=11)`; every model
with its defaults. Ours take the table as it is; the others get medians for gaps, standardised
numbers and one-hot categories, which their times leave out.
Python {platform.python_version()}, {", ".join(packages)}.

{table}

![Mean ranks, and log loss against fit time](quality.png)

The defaults were chosen on these tables and with this seed, among some hundred settings: on others
expect a little less, as the rows of other seeds show in the next table.
{_ranks_by_seed(scores, ours, peers)}
{_judgement(records, ours)}

## What each default brings

Differences from the default in units of 0.0001, each the mean over the tables where both were
measured ± its standard error, on how many tables it is better, and the CPU time of a fit. A ROC AUC
is better if it is higher, a log loss if it is lower.

{_ablations(scores, ours, ablations)}

## Table by table

ROC AUC / log loss. The names are short for those above: HistGB is HistGradientBoostingClassifier,
MLP is MLPClassifier.

{_by_table(scores, found["contenders"])}
"""
    (RESULTS / "quality.md").write_text(text)
    _draw(found)
