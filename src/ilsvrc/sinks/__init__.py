"""Samples to files."""
