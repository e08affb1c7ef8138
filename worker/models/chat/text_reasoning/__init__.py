"""Separates the reasoning that models write at the start of the text."""
