"""Chat requests: models, validation, and admission."""
