"""Event streams of runs: the events, how to append, read and follow them, and transcripts."""
