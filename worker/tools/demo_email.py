"""A tool that needs approval, used by the demo model to show approvals. It sends nothing."""

import asyncio
from typing import Any

from pydantic_ai import Tool

#: Long enough to kill the worker during the call.
_SECONDS = 1.0


async def send_email(to: str, subject: str, text: str) -> str:
    """Send an email. The demo only pretends to."""
    await asyncio.sleep(_SECONDS)
    email = f"an email of {len(text)} characters with the subject “{subject}” to {to}"
    return f"The demo sends nothing. A real tool would have sent {email}."


DEMO_EMAIL: Tool[Any] = Tool(send_email, requires_approval=True)
