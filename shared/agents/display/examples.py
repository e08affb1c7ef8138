"""An example call of each display tool, for the demo model and front-end developers."""

from collections.abc import Mapping

from pydantic import AnyUrl

from shared.agents.display.arguments import Arguments
from shared.agents.display.card import Badge, Card, Fact, LinkAction, Media, ReplyAction
from shared.agents.display.chart import Axis, Chart, Series
from shared.agents.display.code import Code
from shared.agents.display.form import (
    CheckboxField,
    ChoiceField,
    Form,
    NumberField,
    Option,
    TextField,
)

FORM = Form(
    title="Book a table",
    description="We answer within the hour.",
    fields=[
        TextField(
            type="text", name="name", label="Name", placeholder="Ada Lovelace", required=True
        ),
        TextField(type="email", name="email", label="E-mail", required=True),
        NumberField(
            type="number", name="guests", label="Guests", required=True, min=1, max=12, default=2
        ),
        ChoiceField(
            type="select",
            name="seating",
            label="Where",
            options=[
                Option(value="inside", label="Inside"),
                Option(value="terrace", label="On the terrace"),
            ],
            default="inside",
        ),
        TextField(type="textarea", name="wishes", label="Wishes", max_length=500),
        CheckboxField(type="checkbox", name="news", label="Send me the weekly menu"),
    ],
    submit_label="Book",
)

CHART = Chart(
    type="bar",
    title="Visitors by quarter",
    description="Both channels grow through the year, search faster than mail.",
    categories=["Q1", "Q2", "Q3", "Q4"],
    series=[
        Series(name="Search", values=[120, 180, 240, 310]),
        Series(name="Mail", values=[80, 95, 100, 130]),
    ],
    x_axis=Axis(label="Quarter"),
    y_axis=Axis(label="Visitors", unit="thousand"),
    stacked=True,
)

CODE = Code(
    language="python",
    title="A retry with backoff",
    filename="retry.py",
    code="""\
import asyncio


async def retry(call, attempts=3, wait=0.5):
    for attempt in range(1, attempts + 1):
        try:
            return await call()
        except ConnectionError:
            if attempt == attempts:
                raise
            await asyncio.sleep(wait * 2**attempt)
""",
    highlighted_lines=[9, 10],
)

CARD = Card(
    title="Black mamba",
    subtitle="Dendroaspis polylepis",
    media=Media(
        url=AnyUrl("https://placehold.co/640x360/png?text=Black+mamba"),
        alt="A placeholder for a picture of a black mamba",
    ),
    body="The **fastest snake** of its continent, and much shyer than its name.",
    badges=[Badge(label="Venomous", tone="danger"), Badge(label="Least concern", tone="success")],
    facts=[
        Fact(label="Length", value="2 to 3 m"),
        Fact(label="Speed", value="up to 16 km/h"),
        Fact(label="Range", value="Sub-Saharan Africa"),
    ],
    actions=[
        LinkAction(
            type="link",
            label="Read more",
            url=AnyUrl("https://en.wikipedia.org/wiki/Black_mamba"),
            style="primary",
        ),
        ReplyAction(type="reply", label="And the green one?", text="Describe green mambas."),
    ],
)

EXAMPLES: Mapping[str, Arguments] = {
    "generateForm": FORM,
    "generateChart": CHART,
    "generateCode": CODE,
    "generateCard": CARD,
}
