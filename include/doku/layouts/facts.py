"""What a batch file or a report says about itself, outside its lines."""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class FileFacts:
    """Facts of one file, for its header, its trailer and the columns that are the same on every line.

    Attributes:
        name: The file's own name.
        merchant: The merchant's code at DOKU.
        business_date: The local calendar day that the batch was made for.
        execute_date: The day on which DOKU is asked to charge.
        sequence: 1, 2, ... within profile and business date.
        currency: ISO 4217; one for the whole file.
        count: Detail lines.
        total: Sum of their amounts, in smallest units.
        batch_name: Of a report: the batch file that it answers. The attributes from here on are for reports.
        success_count: Lines that were paid.
        failed_count: Lines that were not.
        success_total: Sum of the amounts that were paid, in smallest units.
        failed_total: Sum of the others.
        batch_count: Lines of the whole batch, where its report comes in parts.
        batch_total: Sum of the amounts of the whole batch.
        date: The day of the report.
        part: 1, 2, ... where a report comes in parts.
        parts: How many parts there are.
    """

    name: str
    merchant: str
    business_date: date
    execute_date: date
    sequence: int
    currency: str
    count: int
    total: int
    batch_name: str | None = None
    success_count: int | None = None
    failed_count: int | None = None
    success_total: int | None = None
    failed_total: int | None = None
    batch_count: int | None = None
    batch_total: int | None = None
    date: "date | None" = None
    part: int | None = None
    parts: int | None = None
