"""UI libraries by others, which run in Node.js."""
