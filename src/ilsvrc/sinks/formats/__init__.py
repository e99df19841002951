"""Shard formats: how the images of a shard, and the files beside the shards, are laid out.

One module for each format, named as it is. Staging, publishing and finding shards again belong to `sinks.shards`.
"""
