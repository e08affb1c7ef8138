"""The OpenAPI document and the pages that show it. The request models live with their routes."""
