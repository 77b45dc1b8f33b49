"""Rounds of blocks: each block once in each, in an order that is drawn anew."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import click

from benchmarks.bench.blocks import Block
from benchmarks.bench.results import Results


def measure(blocks: Sequence[Block], rounds: int, results: Results, file: Path) -> None:
    """Every block once a round, in an order that is drawn anew; one that breaks off does not end the run."""
    turns = [
        (number, block) for number in range(rounds) for block in blocks if number < (block.rounds or rounds)
    ]
    total = sum(block.seconds for _, block in turns)
    click.echo(f"{len(turns)} blocks in {rounds} rounds: about {total / 60:.0f} minutes")
    with click.progressbar(length=int(total), label="measuring", show_pos=False) as bar:
        for number in range(rounds):
            order = [block for turn, block in turns if turn == number]
            random.shuffle(order)
            for block in order:
                bar.label = f"round {number + 1}/{rounds}, {block.name}"[:50].ljust(50)
                try:
                    results.samples += [{**sample, "round": number} for sample in block.run(number)]
                except Exception as error:
                    results.troubles.append(f"{block.name}, round {number + 1}: {error!r}"[:500])
                    click.echo(f"\n{results.troubles[-1]}", err=True)
                results.write(file)
                bar.update(int(block.seconds))
