"""The main verb: archives to class folders.

What is decided, what is done, what is reported. The mechanism (loop, engine, journal) belongs to `run`.
"""
