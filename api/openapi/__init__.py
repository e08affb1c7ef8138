"""The OpenAPI document and the pages that show it.

The body of chat requests is defined in `api/chat/`, other bodies beside their routes.
"""
