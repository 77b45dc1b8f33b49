"""The arithmetic of the benchmark: what is read off the rounds, and what counts as met."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.bench.figures import Spread, growth, is_noise, percentile, ratio
from benchmarks.bench.plot import plot
from benchmarks.bench.report import report, shares
from benchmarks.bench.requirements import Figure, Requirement, memory_lines, requirements
from benchmarks.bench.results import Results

SPEEDS = st.lists(st.floats(0.001, 1e6), min_size=1)
ROUNDS = 5


def sample(block: str, what: str, **figures: float) -> dict[str, object]:
    return {"block": block, "what": what, "round": 0, **figures}


@given(SPEEDS, st.floats(0.01, 1.0))
def test_a_percentile_is_the_smallest_value_that_enough_values_do_not_exceed(
    values: list[float], share: float
) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert sum(value < found for value in values) < share * len(values) + 1e-9


def test_percentiles_of_a_hundred_values() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert [percentile(values, share) for share in (0.5, 0.95, 0.99, 1.0)] == [50, 95, 99, 100]


def test_there_is_no_percentile_of_nothing() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_one_wild_round_moves_neither_a_median_nor_a_ratio() -> None:
    assert Spread.of([10, 11, 900]) == Spread(11, 10, 900, 3)
    assert ratio([10, 11, 900], [5, 5.5, 0.1]) == pytest.approx(11 / 5)


@pytest.mark.parametrize(("ours", "theirs"), [([], [1.0]), ([1.0], []), ([1.0], [0.0])])
def test_there_is_no_ratio_to_what_was_not_measured(ours: list[float], theirs: list[float]) -> None:
    assert ratio(ours, theirs) is None


def test_noise_is_a_share_of_the_larger_value() -> None:
    assert is_noise(100, 86, noise=0.15)
    assert is_noise(86, 100, noise=0.15)
    assert not is_noise(100, 84, noise=0.15)


def test_growth_is_that_of_the_second_half() -> None:
    assert growth([50, 90, 100, 104, 110]) == pytest.approx(0.10)
    assert growth([50, 60]) is None


@pytest.mark.parametrize(
    ("value", "at_most", "rounds", "verdict"),
    [
        (0.31, False, ROUNDS, "met"),
        (0.29, False, ROUNDS, "NOT met"),
        (0.29, True, ROUNDS, "met"),
        (0.31, True, ROUNDS, "NOT met"),
        (0.31, False, ROUNDS - 1, "too few rounds"),
        (0.31, False, 0, "not measured"),
    ],
)
def test_a_requirement_is_met_only_by_enough_rounds(
    value: float, at_most: bool, rounds: int, verdict: str
) -> None:
    requirement = Requirement(
        title="create / probe",
        ours=Figure(block="service", what="create"),
        theirs=Figure(block="probe", what="create"),
        bound=0.30,
        at_most=at_most,
    )
    samples = [
        one
        for _ in range(rounds)
        for one in (
            sample("service", "create", per_second=1000 * value),
            sample("probe", "create", per_second=1000),
        )
    ]
    assert requirement.shown(samples).verdict == verdict


def test_memory_that_grows_is_not_flat() -> None:
    def verdicts(*sizes: float) -> list[str]:
        samples = [sample("memory", f"{n} requests", largest_mib=size) for n, size in enumerate(sizes)]
        return [verdict for _, _, _, verdict in memory_lines(samples)]

    assert verdicts(80, 90, 100, 101, 102) == ["met", "met"]
    assert verdicts(80, 90, 100, 110, 120) == ["met", "NOT met"]
    assert verdicts(210, 210, 210, 210, 210) == ["NOT met", "met"]


def test_a_report_of_a_run_that_was_cut_off_has_the_whole_table() -> None:
    results = Results({"sizes": ["10k"]}, [sample("probe: database, 10k", "create", per_second=100.0)])
    text = report(results, "## Why\n\nBecause.\n")
    assert all(requirement.title in text for requirement in requirements())
    assert text.count("not measured") >= len(requirements())
    assert "Because." in text


def test_a_bar_says_how_much_of_what_is_required_was_shown() -> None:
    samples = [
        sample("service, caches off, 10k", "create", per_second=60.0),
        sample("probe: database, 10k", "create", per_second=100.0),
        sample("commit to exchange", "half load", p99_ms=300.0),
    ]
    shown = shares(Results({"sizes": []}, samples))  # type: ignore[arg-type]
    assert [share for _, share in shown] == [pytest.approx(2.0), pytest.approx(0.5)]
    assert plot(shown).count("<rect") == 3
