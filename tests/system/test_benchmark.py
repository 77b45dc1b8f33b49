"""The benchmark still runs: a tiny one, from seeding to its table."""

import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.bench.requirements import NOTHING
from tests.plugins.servers import ServerAddresses
from tests.servers.belongings import prefix

TIMEOUT_SECONDS = 240.0
BLOCKS = ("Falcon no-op", "thinnest", "commit to exchange")


SCALES = (
    "create (web processes)",
    "get (web processes)",
    "list (web processes)",
    "effects (worker processes)",
)


def test_a_tiny_run_measures_and_writes_its_table(
    server_addresses: ServerAddresses, run_id: str, worker: str, tmp_path: Path
) -> None:
    report = tmp_path / "RESULTS.md"
    run(
        "benchmarks.bench",
        "--quick",
        *(argument for block in BLOCKS for argument in ("--only", block)),
        f"--prefix={prefix(run_id)}{worker}_bench",
        f"--output={tmp_path}",
        f"--report={report}",
        servers=server_addresses,
    )
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["troubles"] == []
    measured = {sample["block"] for sample in results["samples"]}
    assert all(any(block in name for name in measured) for block in BLOCKS)
    events = next(sample for sample in results["samples"] if sample["what"] == "half load")
    assert events["p50_ms"] > 0
    assert events["errors"] == 0
    assert "| create / raw transaction on the same tables |" in report.read_text()
    assert (tmp_path / "plot.svg").read_text().startswith("<svg")


def test_a_tiny_run_of_more_processes_writes_its_table_where_it_belongs(
    server_addresses: ServerAddresses, run_id: str, worker: str, tmp_path: Path
) -> None:
    page = tmp_path / "page.md"
    page.write_text("Before.\n\n<!-- scaling -->\nOld.\n<!-- /scaling -->\n\nBehind.\n")
    run(
        "benchmarks.scaling",
        "--quick",
        f"--prefix={prefix(run_id)}{worker}_scaling",
        f"--output={tmp_path / 'scaling.json'}",
        f"--page={page}",
        servers=server_addresses,
    )
    text = page.read_text()
    assert "Old." not in text
    assert text.startswith("Before.\n")
    assert text.endswith("Behind.\n")
    rows = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("| ")}
    assert all(" to " in rows[what] and NOTHING not in rows[what] for what in SCALES), text
    assert json.loads((tmp_path / "scaling.json").read_text())["troubles"] == []


def run(module: str, *arguments: str, servers: ServerAddresses) -> None:
    """Runs it to its end, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env=os.environ | {"SAV_TEST_MYSQL": servers.database.url, "SAV_TEST_RABBITMQ": servers.broker.url},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
