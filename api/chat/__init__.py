"""Chat requests: their models and validation, and what the API does to accept them."""
