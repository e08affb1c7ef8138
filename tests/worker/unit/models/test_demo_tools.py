"""The demo model uses tools that it does not know."""

from typing import Any

import pytest
from pydantic_ai import Agent, DeferredToolRequests, ModelRetry, ToolDenied

from worker.models.demo_model import demo_model


def clerk() -> Agent[None, str]:
    agent = Agent(demo_model(delay=0))

    @agent.tool_plain
    def find_invoice(invoice: str, year: int = 2026) -> dict[str, Any]:
        if not invoice.startswith("A"):
            raise ModelRetry(f"There is no invoice {invoice}.")
        return {"invoice": invoice, "year": year}

    @agent.tool_plain(requires_approval=True)
    def refundInvoice(invoice: str) -> str:  # noqa: N802
        return f"Refunded {invoice}."

    return agent


@pytest.mark.parametrize(
    ("prompt", "result"),
    [
        ("Find invoice A17, please", '{"invoice":"A17","year":2026}'),
        ("find the INVOICE A-17 of year 2024.", '{"invoice":"A-17","year":2024}'),
        ("Find invoice B23", "There is no invoice B23."),
    ],
)
async def test_tool_named_in_the_prompt_is_called(prompt: str, result: str) -> None:
    answer = await clerk().run(prompt)

    assert answer.output.startswith("The tool `find_invoice` returned:\n\n> ")
    assert result in answer.output


@pytest.mark.parametrize("prompt", ["Find A17", "Invoice A17", "Find my invoice"])
async def test_incomplete_prompt_calls_no_tool(prompt: str) -> None:
    answer = await clerk().run(prompt)

    assert "demo model" in answer.output
    assert len(answer.new_messages()) == 2


@pytest.mark.parametrize(
    ("approval", "result"), [(True, "Refunded A17."), (ToolDenied("Not now"), "Not now")]
)
async def test_answer_quotes_the_result_of_an_approval(
    approval: bool | ToolDenied,  # noqa: FBT001
    result: str,
) -> None:
    agent, output_type = clerk(), [str, DeferredToolRequests]
    asked = await agent.run("Refund invoice A17", output_type=output_type)
    assert isinstance(asked.output, DeferredToolRequests)
    [call] = asked.output.approvals

    answer = await agent.run(
        message_history=asked.all_messages(),
        deferred_tool_results=asked.output.build_results(approvals={call.tool_call_id: approval}),
        output_type=output_type,
    )

    assert answer.output == f"The tool `refundInvoice` returned:\n\n> {result}"
