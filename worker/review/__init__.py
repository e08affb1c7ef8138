"""Static analysis for code reviews. It runs in a subprocess and never executes the code."""
