"""Systems that export traces, and the collector that receives them."""
