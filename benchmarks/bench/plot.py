"""The results as a picture: a bar for each requirement, and a line where it is met."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from benchmarks.bench.requirements import Requirement

BAR, GAP, LEFT, WIDTH, RIGHT = 14, 6, 430, 420, 60
LONGEST_SHARE = 3.0
"""Bars of more than this share end here."""
MET, NOT_MET = "#2b7a4b", "#b3402a"


def plot(shares: Sequence[tuple[Requirement, float]]) -> str:
    """An SVG; `shares` are how much of what is required was shown."""
    height = len(shares) * (BAR + GAP) + 40
    scale = WIDTH / LONGEST_SHARE
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + RIGHT}" height="{height}" '
        'font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for number, (requirement, share) in enumerate(shares):
        y = 30 + number * (BAR + GAP)
        width = min(share, LONGEST_SHARE) * scale
        colour = MET if share >= 1 else NOT_MET
        lines += [
            f'<text x="{LEFT - 8}" y="{y + 11}" text-anchor="end">{escape(requirement.title)}</text>',
            f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{colour}"/>',
            f'<text x="{LEFT + width + 4:.1f}" y="{y + 11}">{share:.2f}</text>',
        ]
    line = LEFT + scale
    lines += [
        f'<line x1="{line}" y1="18" x2="{line}" y2="{height - 8}" stroke="black" stroke-dasharray="4 3"/>',
        f'<text x="{line}" y="13" text-anchor="middle">required</text>',
        "</svg>",
    ]
    return "\n".join(lines) + "\n"
