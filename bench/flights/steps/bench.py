"""The steps of the benchmark, as a user who cares for speed would write them: Arrow for the look-up, SQL (in the pipeline) for the groups."""

import pyarrow as pa
import pyarrow.compute as pc
from runink import step


@step(each="batch")
def with_plane(flights: pa.RecordBatch, planes: pa.Table) -> pa.RecordBatch:
    """Add the aircraft's maker and seats."""
    planes = planes.combine_chunks()
    place = pc.index_in(flights.column("tailnum"), planes.column("tailnum").combine_chunks())
    added = {
        name: planes.column(name).combine_chunks().take(place) for name in ("manufacturer", "seats")
    }
    for name, column in added.items():
        flights = flights.append_column(name, column)
    return flights
