# SPDX-License-Identifier: Apache-2.0
"""Results of an experiment's jobs to a table and a picture: means over seeds, and differences between rows with what they are sure to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ssd_core.evaluation.statistics import sequence_bootstrap
from ssd_core.storage.atomic_write import atomic_write
from ssd_core.storage.configuration import StrictModel, validate_configuration

Array = npt.NDArray[np.float64]


class ConditionErrors(StrictModel):
    """Means over a scene's frames of one condition; metrics as in `DepthMetrics`."""

    frames: int
    abs_rel: float
    abs_rel_median: float
    d1: float


class JobResult(StrictModel):
    """What one job ended with."""

    row: str
    seed: int
    world: int
    """Revision of the rendered world."""
    git_revision: str
    test: dict[str, Any]
    """The scenes it was judged on, as a plan."""
    recipe: dict[str, Any]
    """Resolved, but for the teacher's path."""
    teacher: str | None = None
    """SHA-256 of the weights it learnt from; none: it has no teacher, or is older than this field."""
    scenes: dict[str, dict[str, ConditionErrors]]
    """By scene and condition."""

    def errors(self, condition: str) -> Array:
        """(scenes,) absRel in the order of the scenes' names. Raises KeyError for a scene without that condition."""
        return np.array([self.scenes[scene][condition].abs_rel for scene in sorted(self.scenes)])


Results = dict[str, list[JobResult]]
"""By row, each row's by seed."""


def read_results(folder: Path) -> Results:
    """All results of a folder. Raises ConfigurationError naming a file that is none, ValueError where they were judged on different
    scenes.
    """
    found: Results = {}
    judged: dict[str, str] = {}
    for path in sorted(folder.glob("*.json")):
        result = validate_configuration(JobResult, json.loads(path.read_text()), str(path))
        judged.setdefault(json.dumps([result.world, result.test, sorted(result.scenes)], sort_keys=True), path.name)
        found.setdefault(result.row, []).append(result)
    if len(judged) > 1:
        raise ValueError(f"{folder}: {' and '.join(judged.values())} were judged on different scenes; tables compare the same ones only")
    return {row: sorted(results, key=lambda result: result.seed) for row, results in found.items()}


def make_table(results: Results, says: Mapping[str, str], against: Mapping[str, Sequence[str]]) -> str:
    """Markdown: a line a row with its absRel by condition, and a second table of differences.

    says: rows in their order, in words; rows without results are left out. against: the rows that each is compared with.
    Raises ValueError without any result.
    """
    rows = [row for row in says if row in results]
    if not rows:
        raise ValueError("there are no results of these rows yet")
    conditions = _conditions(results[rows[0]][0])
    lines = [f"| row | seeds | {' | '.join(conditions)} |", f"|---|---|{'---|' * len(conditions)}"]
    lines += [
        f"| {says[row]} | {len(results[row])} | {' | '.join(_mean_and_spread(results[row], condition) for condition in conditions)} |"
        for row in rows
    ]
    pairs = [(row, other) for row in rows for other in against.get(row, ()) if other in results]
    if pairs:
        lines += ["", f"| absRel of | less that of | {' | '.join(conditions)} |", f"|---|---|{'---|' * len(conditions)}"]
        lines += [
            f"| {says[row]} | {says.get(other, other)} | "
            f"{' | '.join(_difference(results[row], results[other], condition) for condition in conditions)} |"
            for row, other in pairs
        ]
    return "\n".join(lines) + "\n"


def scene_errors(results: Sequence[JobResult], condition: str) -> Array:
    """(scenes,) absRel, mean over seeds."""
    return np.asarray(np.mean([result.errors(condition) for result in results], axis=0))


def draw_table(path: Path, results: Results, says: Mapping[str, str]) -> None:
    """A PNG of the first table: bars by row and condition, a dot for each seed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [row for row in says if row in results]
    conditions = _conditions(results[rows[0]][0])
    figure, axis = pyplot.subplots(figsize=(9, 0.7 + 0.62 * len(rows)))
    height = 0.8 / len(conditions)
    for number, condition in enumerate(conditions):
        places = np.arange(len(rows)) + (number - (len(conditions) - 1) / 2) * height
        seeds = [[float(result.errors(condition).mean()) for result in results[row]] for row in rows]
        axis.barh(places, [np.mean(values) for values in seeds], height * 0.92, label=condition)
        for place, values in zip(places, seeds, strict=True):
            axis.plot(values, [place] * len(values), "k.", markersize=4)
    axis.set_yticks(np.arange(len(rows)), [says[row] for row in rows], fontsize=8)
    axis.invert_yaxis()
    axis.set_xlabel("absRel on scenes that nothing else saw (less is better)")
    axis.legend(fontsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    with atomic_write(path) as file:
        figure.savefig(file, dpi=110, format="png")
    pyplot.close(figure)


def _conditions(result: JobResult) -> list[str]:
    first = next(iter(result.scenes.values()))
    return list(first)


def _mean_and_spread(results: Sequence[JobResult], condition: str) -> str:
    means = [float(result.errors(condition).mean()) for result in results]
    close = np.mean([[scene[condition].d1 for scene in result.scenes.values()] for result in results])
    spread = f" ± {np.std(means, ddof=1):.3f}" if len(means) > 1 else ""
    return f"{np.mean(means):.3f}{spread} ({close:.2f})"


def _difference(results: Sequence[JobResult], others: Sequence[JobResult], condition: str) -> str:
    """Of seeds that both have, where they have any in common; scenes are drawn with replacement for the interval."""
    common = {result.seed for result in results} & {other.seed for other in others}
    pick = [result for result in results if not common or result.seed in common]
    pick_others = [other for other in others if not common or other.seed in common]
    before = scene_errors(pick_others, condition)
    difference = scene_errors(pick, condition) - before
    bounds = sequence_bootstrap(difference, sorted(results[0].scenes))
    interval = "" if bounds is None else f" [{bounds[0]:+.3f}, {bounds[1]:+.3f}]"
    return f"{difference.mean():+.3f}{interval}, {difference.mean() / before.mean():+.0%}"
