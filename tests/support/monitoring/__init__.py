"""Records and monitors for the tests of health, metrics, and the metrics history."""
