"""The bodies of requests and answers, as OpenAPI shows them; and a body read within bounds."""

from __future__ import annotations

import json
from typing import Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
    StringConstraints,
    ValidationError,
    model_validator,
)

from fastslow.errors import InputError, shown
from fastslow.files import from_json

T = TypeVar("T", bound=BaseModel)
_ID_BITS = 63
#: Names and numbers of classes; text of pairs of surrogates apart, which no file can hold.
Text = Annotated[StrictStr, StringConstraints(min_length=1, max_length=200)]
Number = Annotated[StrictInt, Field(ge=-(2**_ID_BITS), lt=2**_ID_BITS)]
Label = Text | Number


class Nothing(BaseModel):
    """No more than `{}`."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Shown(Nothing):
    """Examples: images, or vectors where the learner has no model."""

    images: list[StrictStr] | None = Field(None, description="PNG or JPEG files, each in base64, all of one size")
    vectors: list[list[float]] | None = Field(None, description="feature vectors, where the learner has no model")

    @model_validator(mode="after")
    def _of_one_kind(self) -> Shown:
        _refuse_unless_one(images=self.images, vectors=self.vectors)
        return self

    @property
    def num_examples(self) -> int:
        """How many."""
        return len(self.images or self.vectors or ())


class Teaching(Shown):
    """Examples and their labels; new labels make new classes."""

    labels: list[Label] = Field(description="one for each example, texts or whole numbers")

    @model_validator(mode="after")
    def _one_each(self) -> Teaching:
        if len(self.labels) != self.num_examples:
            raise ValueError(f"got {self.num_examples} examples and {len(self.labels)} labels; give one label each")
        return self


class Question(Shown):
    """Examples to be told the class of."""

    top: int = Field(5, ge=1, le=1000, description="how many of the probabilities, the largest first")


class Forgetting(Nothing):
    """A class by its label, or one example by its id."""

    label: Label | None = None
    example: Annotated[int, Field(ge=0, lt=2**_ID_BITS)] | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Forgetting:
        _refuse_unless_one(label=self.label, example=self.example)
        return self


class Changed(BaseModel):
    """A change that is on the disk.

    Attributes:
        change: its number, in the order in which changes were made.
    """

    change: int


class Taught(Changed):
    """Examples that are kept.

    Attributes:
        examples: their ids, by which single ones can be forgotten.
    """

    examples: list[int]


class Probability(BaseModel):
    """Of one class, of those known."""

    label: str | int
    probability: float


class OneAnswer(BaseModel):
    """About one example.

    Attributes:
        label: the likeliest.
        novelty: distance from the nearest class over the threshold; null where no class has a spread yet.
        unknown: whether it is of none of the classes: novelty is above 1, or null.
        probabilities: the largest first.
    """

    label: str | int
    novelty: float | None
    unknown: bool
    probabilities: list[Probability]


class Answered(BaseModel):
    """One answer for each example, in their order."""

    answers: list[OneAnswer]


class ClassCount(BaseModel):
    """A class.

    Attributes:
        label: of it.
        examples: how many are kept: merged ones count as one.
        ids: of those that can be forgotten one by one, which merged ones cannot; of all classes together the last
            10,000 are listed.
    """

    label: str | int
    examples: int
    ids: list[int]


class Classes(BaseModel):
    """The classes known, in order of arrival."""

    classes: list[ClassCount]


class Status(BaseModel):
    """What there is.

    Attributes:
        model: what makes features; null for vectors.
        classes: how many are known.
        examples: how many are kept.
        max_examples: the most that are kept.
        changes: made since the state was begun, or last closed.
        memory_bytes: that the learner takes.
        journal_bytes: of changes since the last snapshot.
    """

    model: str | None
    classes: int
    examples: int
    max_examples: int
    changes: int
    memory_bytes: int
    journal_bytes: int


class Refusal(BaseModel):
    """Why there is no answer, in one line."""

    error: str


class BodyError(InputError):
    """A body that is none of its kind: the message speaks of its fields."""


def read_body(content: bytes, kind: type[T]) -> T:
    """A body of one kind.

    Raises:
        ValueError: if it is anything else; the message says what, and where.
    """
    try:
        given = from_json(content.decode("utf-8"), "the body")
    except InputError as error:
        raise BodyError(str(error)) from error
    except UnicodeDecodeError as error:
        raise BodyError("the body is no text in UTF-8; send JSON") from error
    try:
        body = kind.model_validate(given)
    except ValidationError as error:
        raise BodyError(_first(error)) from error
    except (OverflowError, RecursionError) as error:
        raise BodyError("the body holds numbers too large; send numbers of 64 bits") from error
    if not _is_text(given.get("labels"), given.get("label")):
        raise BodyError("a label holds half of a character (a lone surrogate); send text")
    return body


def plain(body: BaseModel) -> dict[str, Any]:
    """A body's fields that were given, as JSON can hold them."""
    return body.model_dump(exclude_none=True)


def _refuse_unless_one(**fields: object) -> None:
    """Refuses a body that gives both of two fields, or neither."""
    given = [name for name, value in fields.items() if value is not None]
    if len(given) != 1:
        both = " and ".join(given) or f"neither {' nor '.join(fields)}"
        raise ValueError(f"got {both}; give one of the two")


def _first(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    first = found[0]
    where = ".".join(str(part) for part in first["loc"])
    text = first["msg"].removeprefix("Value error, ")
    if first["loc"][:1] == ("label",) or (first["loc"][:1] == ("labels",) and len(first["loc"]) > 1):
        where = ".".join(str(part) for part in first["loc"][: 1 if first["loc"][0] == "label" else 2])
        text = "a text of 1 to 200 characters, or a whole number of 64 bits, was expected"
    others = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return f"{shown(where)[1:-1]}: {text}{others}" if where else text


def _is_text(*values: object) -> bool:
    try:
        json.dumps(values, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
