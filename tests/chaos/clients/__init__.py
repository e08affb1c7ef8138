"""The clients of the chaos suite, what they ask, and what they have received."""
