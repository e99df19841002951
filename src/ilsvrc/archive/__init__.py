"""The bytes of an archive, and its index: where every image of a nested tar lies, and its expected digest.

No image is decoded here, and nothing is written but the files kept beside an archive.
"""
