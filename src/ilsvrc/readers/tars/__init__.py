"""Tars that are no official archives: of trees, of single classes, compressed ones, those of Hugging Face."""
