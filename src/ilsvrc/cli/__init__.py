"""The command line: options, progress, exit statuses. The library below it never prints."""
