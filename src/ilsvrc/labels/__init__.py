"""Labels as people hold them: look one up, read and verify label files, rewrite them, tell a model's mapping."""
