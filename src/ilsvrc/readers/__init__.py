"""One split, wherever it lies, read by row.

The protocol and one module for each form. Datasets for people belong to `dataset`, writing to `sinks`.
"""
