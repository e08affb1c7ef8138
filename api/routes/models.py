"""`GET /models`."""

from fastapi import APIRouter
from pydantic import BaseModel

from api.catalog.model_list import Model
from api.process import CurrentProcess

router = APIRouter(tags=["models"])


class Models(BaseModel):
    models: list[Model]


@router.get("/models")
async def list_models(process: CurrentProcess) -> Models:
    """List the models that requests may name."""
    return Models(models=await process.models.read())
