"""Integration tests of models and providers, with a scripted upstream."""
