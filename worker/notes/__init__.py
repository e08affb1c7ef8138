"""Full-text search over a folder of notes. The tools that use it are in `worker/tools/`."""
