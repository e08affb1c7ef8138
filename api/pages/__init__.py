"""Pages in HTML: how they are served, and the start page."""
