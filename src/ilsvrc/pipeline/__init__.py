"""Plan, run, resume, report."""
