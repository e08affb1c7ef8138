"""The boundary to model servers: what they may send, and what their errors mean."""
