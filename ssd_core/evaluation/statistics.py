# SPDX-License-Identifier: Apache-2.0
"""How sure a mean over images is, given that images of one drive resemble each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

MIN_SEQUENCES = 5
"""Below this many sequences a resampled interval says next to nothing, so none is given."""


def sequence_bootstrap(
    values: npt.ArrayLike, sequences: Sequence[str], resamples: int = 2000, seed: int = 0
) -> npt.NDArray[np.float64] | None:
    """95 % percentile interval of the mean over images, whole sequences drawn with replacement.

    values: (N,) or (N, K), one row an image; give differences of two models on the same images for a paired interval.
    sequences: the drive or scene of each image. Returns (2,) or (2, K), lower and upper, or None below MIN_SEQUENCES sequences.
    Field and Welsh, "Bootstrapping clustered data" (2007): the cluster bootstrap.
    """
    array = np.asarray(values, dtype=np.float64)
    names, index = np.unique(np.asarray(sequences), return_inverse=True)
    if len(array) != len(index):
        raise ValueError(f"{len(array)} values with {len(index)} sequences: one of each is needed")
    if len(names) < MIN_SEQUENCES:
        return None
    columns = array.reshape(len(array), -1)
    counts = np.bincount(index).astype(np.float64)
    sums = np.stack([np.bincount(index, weights=column) for column in columns.T], axis=1)
    drawn = np.random.default_rng(seed).integers(len(names), size=(resamples, len(names)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)[:, None]
    return np.asarray(np.quantile(means, (0.025, 0.975), axis=0).reshape(2, *array.shape[1:]))
