"""Zips: where their members are, which are images, and the bytes of one."""
