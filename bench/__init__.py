"""Side-by-side benchmarks against peers and against the limit, each a command: `python -m bench.unpack --help`."""
