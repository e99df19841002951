"""Sinks that write to a bucket: images or shards as objects, each whole or absent, under the names that they keep.

Here belongs what a bucket does otherwise than a folder. Formats, rows of manifests and lists are those of folders.
"""
