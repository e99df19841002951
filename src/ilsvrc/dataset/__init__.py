"""Members and labels to samples."""
