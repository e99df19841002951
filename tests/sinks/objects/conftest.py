"""Servers of buckets, as the tests of stores have them."""

from tests.stores.conftest import _no_settings_of_the_user, bucket, s3

__all__ = ["_no_settings_of_the_user", "bucket", "s3"]
