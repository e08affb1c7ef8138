"""The baseline: the same agent in a FastAPI process with pydantic-ai's adapter."""

import os

import uvicorn
from fastapi import FastAPI, Request, Response
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.ui.vercel_ai import VercelAIAdapter

app = FastAPI()
provider = OpenAIProvider(base_url=os.environ["OPENAI_API_BASE_URL"], api_key="bench")
agent = Agent()


@app.post("/chat")
async def chat(request: Request) -> Response:
    model = OpenAIChatModel(request.query_params["model"], provider=provider)
    return await VercelAIAdapter.dispatch_request(request, agent=agent, model=model)


@app.get("/health/ready")
async def ready() -> dict[str, str]:
    return {"status": "ok"}


if __name__ == "__main__":
    port = int(os.environ["MAMBA_SERVER__PORT"])
    uvicorn.run(app, port=port, loop="uvloop", http="httptools", access_log=False, log_level=30)
