"""Display tools: the components that a client renders, and the schemas of their arguments."""
