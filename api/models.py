"""`GET /models`: what can be asked."""

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.process import CurrentProcess

router = APIRouter(tags=["models"])


class Model(BaseModel):
    id: str = Field(examples=["openai/gpt-4o"])
    name: str = Field(examples=["gpt-4o"])
    provider: str = Field(examples=["openai"])
    default: bool
    demo: bool = Field(description="Whether this is the built-in demo, not a real model")


class Models(BaseModel):
    models: list[Model]


@router.get("/models")
async def list_models(process: CurrentProcess) -> Models:
    """The models that are configured, with the default marked."""
    settings = process.settings.openai
    if settings.demo:
        demo = Model(id="demo", name="Demo", provider="mamba", default=True, demo=True)
        return Models(models=[demo])
    name = settings.default_model.removeprefix("openai/")
    model = Model(id=f"openai/{name}", name=name, provider="openai", default=True, demo=False)
    return Models(models=[model])
