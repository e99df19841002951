"""Bytes to index: where every member of a nested archive lies."""
