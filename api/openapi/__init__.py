"""The OpenAPI document and the pages that show it.

The model of chat requests is in `api/chat/`, others are with their routes.
"""
