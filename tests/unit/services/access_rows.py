"""The rows of the two-herd matrix, one for each operation of the catalog by its name. An operation without a row fails `test_two_herds.py`.

An area with many operations has a module of its own beside this one (`AREA_rows.py` with a dict of rows), and a line in ROWS.
"""

from __future__ import annotations

from access_row import Row
from annotation_rows import ANNOTATION_ROWS
from approval_rows import APPROVAL_ROWS
from bundle_rows import BUNDLE_ROWS
from contract_rows import CONTRACT_ROWS
from identity_rows import IDENTITY_ROWS
from node_rows import NODE_ROWS
from pipeline_rows import PIPELINE_ROWS
from rights_rows import AUDIT_ROWS, HERD_ROWS, QUESTION_ROWS, RIGHTS_ROWS
from run_rows import RUN_ROWS
from schedule_rows import SCHEDULE_ROWS

ROWS: dict[str, Row] = {
    **HERD_ROWS,
    **BUNDLE_ROWS,
    **ANNOTATION_ROWS,
    **NODE_ROWS,
    **RIGHTS_ROWS,
    **SCHEDULE_ROWS,
    **PIPELINE_ROWS,
    **CONTRACT_ROWS,
    **APPROVAL_ROWS,
    **QUESTION_ROWS,
    **AUDIT_ROWS,
    **IDENTITY_ROWS,
    **RUN_ROWS,
}
