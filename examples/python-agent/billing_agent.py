"""An agent that finds invoices and refunds them. Each refund needs the user's approval."""

from pydantic_ai import Agent, ModelRetry, RunContext

from mamba.agents import AgentContext, AgentLimits, AgentRun, call_key, register_agent

INSTRUCTIONS = "You help customers with their invoices. Find an invoice before you refund it."

#: Replace these with requests to your own system.
AMOUNTS = {"A17": "49.90 EUR", "B23": "12.50 EUR"}
REFUNDS: dict[str, str] = {}


@register_agent("billing", description="Refunds invoices.", limits=AgentLimits(steps=8))
def billing_agent(context: AgentContext) -> Agent[AgentRun, str]:
    agent = Agent(deps_type=AgentRun, instructions=INSTRUCTIONS)

    @agent.tool_plain
    async def find_invoice(invoice: str) -> str:
        """Return the amount of an invoice, such as A17."""
        return amount_of(invoice)

    @agent.tool(requires_approval=True)
    async def refund_invoice(run: RunContext[AgentRun], invoice: str) -> str:
        """Refund an invoice."""
        # If the worker dies during the call, the next worker repeats it with the same key.
        refunded = REFUNDS.setdefault(call_key(run), amount_of(invoice))
        return f"Refunded {refunded} for invoice {invoice}."

    return agent


def amount_of(invoice: str) -> str:
    if invoice not in AMOUNTS:
        # The model receives this message, and can try again.
        raise ModelRetry(f"There is no invoice {invoice}. Ask the user for its number.")
    return AMOUNTS[invoice]
