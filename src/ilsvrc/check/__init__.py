"""Say what is wrong with archives or a tree.

The verb, one module for archives, one for trees, and the report. Anything that writes belongs elsewhere.
"""
