"""What an attempt writes: agent events mapped to stream events, and their group commit to Redis."""
