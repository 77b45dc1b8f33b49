"""The measurements behind `benchmarks/RESULTS.md`; see `benchmarks/README.md`."""
