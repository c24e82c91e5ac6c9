# SPDX-License-Identifier: Apache-2.0
"""The same as `ssd-depth synthesize`, for `accelerate launch training/synthesize.py --data ... --translator ... --condition ...`."""

import typer

from ssd_core.command_line.synthesize import synthesize

if __name__ == "__main__":
    typer.run(synthesize)
