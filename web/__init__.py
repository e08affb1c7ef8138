"""Builds the front ends of the API. Not part of the installed package."""
