"""Model providers: how names select them, and their health. The worker holds their clients."""
