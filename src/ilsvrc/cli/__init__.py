"""The command line: commands and their options, output, progress, signals, exit statuses.

No data is read or written here but a file that a command was asked for; the library below never prints or exits.
"""
