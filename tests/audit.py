"""Whether the dependencies can be installed as they are pinned, and whether any has a known vulnerability.

    ./scripts/audit

The versions are those that a new installation would get today. Advisories come from PyPI, by pip-audit, which
is installed into a directory of its own for the moment. Exit code 0: nothing is known, or nobody could be
asked, which is said; 1: something is known, or the pinned ranges do not fit together.
"""

import json
import subprocess
import sys
import tempfile
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT_SECONDS = 600
PIP_AUDIT = "pip-audit>=2.10,<3"
FINE, WRONG = 0, 1


@dataclass(frozen=True)
class Verdict:
    """What pip-audit has said."""

    vulnerable: list[str]
    not_asked: list[str]
    asked: int

    @property
    def exit_code(self) -> int:
        return WRONG if self.vulnerable else FINE

    @property
    def lines(self) -> list[str]:
        lines = [f"VULNERABLE: {line}" for line in self.vulnerable]
        if self.not_asked:
            lines.append(f"warning: NOT AUDITED, no advisories were had for: {', '.join(self.not_asked)}")
        return [*lines, f"audited: {self.asked}, vulnerable: {len(self.vulnerable)}"]


def main() -> int:
    with tempfile.TemporaryDirectory() as directory:
        own = Path(directory)
        try:
            pinned = resolved(own / "report.json")
        except subprocess.CalledProcessError as error:
            print(f"the pinned ranges cannot be installed together:\n{error.stderr}", file=sys.stderr)
            return WRONG
        print(f"the pinned ranges fit together: {len(pinned)} packages")
        try:
            verdict = judge(audited(pinned, own))
        except (subprocess.SubprocessError, ValueError, OSError) as error:
            verdict = Verdict(vulnerable=[], not_asked=[f"any ({type(error).__name__})"], asked=0)
        print("\n".join(verdict.lines))
        return verdict.exit_code


def resolved(report: Path) -> list[str]:
    """What a new installation of the service would get, as `name==version`."""
    options = ["--dry-run", "--ignore-installed", "--quiet", "--report", str(report)]
    _run(sys.executable, "-m", "pip", "install", *options, f"{ROOT}[tracing]")
    packages = [item["metadata"] for item in json.loads(report.read_text())["install"]]
    return sorted(f"{item['name']}=={item['version']}" for item in packages if item["name"] != "sav-service")


def audited(pinned: list[str], directory: Path) -> Any:
    """pip-audit's report on these versions."""
    venv.create(directory / "venv", with_pip=True)
    programs = directory / "venv" / "bin"
    _run(str(programs / "pip"), "install", "--quiet", PIP_AUDIT)
    requirements = directory / "requirements.txt"
    requirements.write_text("\n".join(pinned))
    options = ["--no-deps", "--disable-pip", "--progress-spinner=off", "--format=json"]
    done = _run(
        str(programs / "pip-audit"), *options, "--requirement", str(requirements), accepted=(FINE, WRONG)
    )
    return json.loads(done.stdout)


def judge(report: Any) -> Verdict:
    """What a report says; a package that nothing could be found out about was not audited."""
    packages = report["dependencies"]
    return Verdict(
        vulnerable=[
            f"{item['name']} {item['version']}: {found['id']}, fixed in {found['fix_versions'] or 'none yet'}"
            for item in packages
            for found in item.get("vulns", ())
        ],
        not_asked=[item["name"] for item in packages if "skip_reason" in item],
        asked=sum("skip_reason" not in item for item in packages),
    )


def _run(*command: str, accepted: tuple[int, ...] = (FINE,)) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    if done.returncode not in accepted:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
    return done


if __name__ == "__main__":
    sys.exit(main())
