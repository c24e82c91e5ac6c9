# SPDX-License-Identifier: Apache-2.0
"""A procedural driving world: geometry by seed, conditions that never move it, pictures and exact truth."""

REVISION = 5
"""Raised whenever the same seed gives other pictures or depth: rendered data of another revision isn't gone on with or reused."""
