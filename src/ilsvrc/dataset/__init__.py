"""The data set for people, read in place: a map-style dataset, an order for disks, a file system."""
