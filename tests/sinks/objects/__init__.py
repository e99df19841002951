"""Tests of the sinks that write to a bucket."""
