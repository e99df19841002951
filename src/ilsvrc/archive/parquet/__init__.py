"""Where every image lies in Parquet files: from page headers to the columns of an index."""
