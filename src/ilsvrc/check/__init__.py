"""Say what is wrong with archives or a tree, and what they were compared with.

The verb, a module each for archives, trees, what a tree should hold, and the report. Nothing here writes to the data.
"""
