"""Several web processes, each with caches of its own: whoever has been told of a write sees it, wherever."""

import re

from tests.system.conftest import Site
from tests.system.fleet import Admin
from tests.system.read_after_write import seen_too_late


def test_no_reader_sees_less_than_was_acknowledged(site: Site, admin: Admin) -> None:
    before = hits(admin)
    assert seen_too_late(site) == []
    after = hits(admin)
    # It was about what is kept, not about reading anew.
    assert all(after[cache] > before.get(cache, 0) for cache in ("lists", "details", "statistics"))


def hits(admin: Admin) -> dict[str, float]:
    text = admin.get("/metrics").text
    found = re.findall(r'^sav_cache_reads_total\{cache="(\w+)",outcome="hit"\} (\S+)$', text, re.MULTILINE)
    return {cache: float(count) for cache, count in found}
