"""The benchmark still runs: a tiny one, from seeding to its table."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.plugins.servers import ServerAddresses
from tests.servers.belongings import prefix

TIMEOUT_SECONDS = 240.0
BLOCKS = ("Falcon no-op", "thinnest", "commit to exchange")


def test_a_tiny_run_measures_and_writes_its_table(
    server_addresses: ServerAddresses, run_id: str, worker: str, tmp_path: Path
) -> None:
    report = tmp_path / "RESULTS.md"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.bench", "--quick"),
            *(argument for block in BLOCKS for argument in ("--only", block)),
            f"--prefix={prefix(run_id)}{worker}_bench",
            f"--output={tmp_path}",
            f"--report={report}",
        ],
        env=os.environ
        | {
            "SAV_TEST_MYSQL": server_addresses.database.url,
            "SAV_TEST_RABBITMQ": server_addresses.broker.url,
        },
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["troubles"] == []
    measured = {sample["block"] for sample in results["samples"]}
    assert all(any(block in name for name in measured) for block in BLOCKS)
    events = next(sample for sample in results["samples"] if sample["what"] == "half load")
    assert events["p50_ms"] > 0
    assert events["errors"] == 0
    assert "| create / raw transaction on the same tables |" in report.read_text()
    assert (tmp_path / "plot.svg").read_text().startswith("<svg")
