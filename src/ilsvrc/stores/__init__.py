"""Object stores and web servers: what lies behind s3://, gs://, az:// and https://, as files are on a disk.

Here belongs what speaks with a store, and nothing that knows of images. Reading an archive there is in `archive`.
"""
