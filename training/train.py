# SPDX-License-Identifier: Apache-2.0
"""The same as `ssd-depth train`, for `accelerate launch training/train.py --config ... --out ...`."""

import typer

from ssd_core.command_line.train import train

if __name__ == "__main__":  # workers that load data import this file
    typer.run(train)
