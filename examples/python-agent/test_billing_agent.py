from billing_agent import REFUNDS, billing_agent
from pydantic_ai import DeferredToolRequests
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from mamba.agents import AgentRun
from mamba.testing import open_agent

RUN = AgentRun(run_id="run", chat_id="chat", request_id="request")


def refund(messages: list[ModelMessage], _: AgentInfo) -> ModelResponse:
    """Call the tool. Then answer with its result."""
    part = messages[-1].parts[-1]
    if isinstance(part, ToolReturnPart):
        return ModelResponse([TextPart(str(part.content))])
    return ModelResponse([ToolCallPart("refund_invoice", {"invoice": "A17"})])


async def test_refund_waits_for_approval() -> None:
    async with open_agent(billing_agent) as agent:
        with agent.override(model=FunctionModel(refund)):
            output_type = [str, DeferredToolRequests]
            asked = await agent.run("Refund invoice A17", deps=RUN, output_type=output_type)
            assert isinstance(asked.output, DeferredToolRequests)
            assert [call.tool_name for call in asked.output.approvals] == ["refund_invoice"]
            assert not REFUNDS

            answered = await agent.run(
                message_history=asked.all_messages(),
                deferred_tool_results=asked.output.build_results(approve_all=True),
                deps=RUN,
                output_type=output_type,
            )

    assert answered.output == "Refunded 49.90 EUR for invoice A17."
    assert [*REFUNDS.values()] == ["49.90 EUR"]
