"""Frozen records that reports are made of."""

import math
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

# One NaN object for all, so that a report read back from JSON equals the one written.
MaybeNaN = Annotated[float, AfterValidator(lambda x: math.nan if math.isnan(x) else x)]


class Record(BaseModel):
    """A frozen record that survives a JSON round trip, NaN and infinity included."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")
