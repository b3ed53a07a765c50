r"""Parquet, for data frames and databases: the columns of a flat row, and behind them the bodies.

Written row group by row group, so memory holds one of them at most, and compressed with zstd. Needs pyarrow, which is
the extra ``parquet``. Text is UTF-8; a lone surrogate, which that does not have, is written as ``\udXXX``.
"""

from typing import Any, BinaryIO

from llm_proxy.errors import ConfigError
from llm_proxy.model.completion import Bodies, Completion
from llm_proxy.model.exchange import RecordedHeaders
from llm_proxy.transfer.flat import COLUMNS, flat_row, json_text

#: A row group is written when it has so many records, or so many bytes of bodies: what is held in memory at a time.
_GROUP_RECORDS = 5000
_GROUP_BYTES = 16 * 2**20


class ParquetWriter:
    """Writes every record. Raises ConfigError if pyarrow is not installed."""

    with_bodies = True

    def __init__(self, file: BinaryIO) -> None:
        self._pyarrow, parquet = _import_pyarrow()
        self._schema = _schema(self._pyarrow)
        self._writer = parquet.ParquetWriter(_Forward(file), self._schema, compression="zstd")
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0

    def write(self, completion: Completion) -> str | None:
        """Take one record, and write all of a row group when it is full."""
        try:
            row = _storable({**flat_row(completion), **_body_columns(completion.bodies)})
        except RecursionError:
            return "its JSON is nested too deep"
        self._rows.append(row)
        self._bytes += sum(len(value) for value in row.values() if isinstance(value, str | bytes))
        if len(self._rows) >= _GROUP_RECORDS or self._bytes >= _GROUP_BYTES:
            self._write_group()
        return None

    def close(self) -> None:
        """Write the last row group and the footer, without which the file is none."""
        if self._rows:
            self._write_group()
        self._writer.close()

    def _write_group(self) -> None:
        self._writer.write_table(self._pyarrow.Table.from_pylist(self._rows, schema=self._schema))
        self._rows, self._bytes = [], 0


class _Forward:
    """A file that is only ever written on, so that a pipe will do; it counts, since pyarrow asks where it is."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._written = 0
        self.closed = False

    def write(self, chunk: Any) -> int:
        written = memoryview(chunk).nbytes
        self._file.write(chunk)
        self._written += written
        return written

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        """The file belongs to somebody else."""

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False


def _import_pyarrow() -> tuple[Any, Any]:
    try:
        # Here and nowhere else: it is large, optional, and only this format needs it.
        import pyarrow as pa  # type: ignore[import-untyped,import-not-found,unused-ignore]  # noqa: PLC0415
        import pyarrow.parquet as pq  # type: ignore[import-untyped,import-not-found,unused-ignore]  # noqa: PLC0415
    except ImportError as exc:
        raise ConfigError("--format parquet needs pyarrow: pip install 'llm-proxy[parquet]'") from exc
    return pa, pq


def _schema(pyarrow: Any) -> Any:
    types = {
        "text": pyarrow.string(),
        "json": pyarrow.string(),
        "int": pyarrow.int64(),
        "float": pyarrow.float64(),
        "bool": pyarrow.bool_(),
        "time": pyarrow.timestamp("us", tz="UTC"),
        "texts": pyarrow.list_(pyarrow.string()),
    }
    bodies = {
        "request": pyarrow.large_string(),
        "response": pyarrow.large_string(),
        "request_headers": pyarrow.string(),
        "response_headers": pyarrow.string(),
        "request_body": pyarrow.large_binary(),
        "response_body": pyarrow.large_binary(),
        "chunk_times_us": pyarrow.list_(pyarrow.uint64()),
        "chunk_sizes": pyarrow.list_(pyarrow.uint64()),
        "sent_times_us": pyarrow.list_(pyarrow.uint64()),
        "sent_sizes": pyarrow.list_(pyarrow.uint64()),
    }
    return pyarrow.schema([(name, types[type_]) for name, type_ in COLUMNS.items()] + list(bodies.items()))


def _body_columns(bodies: Bodies | None) -> dict[str, Any]:
    """JSON as text; the bytes of the wire as they are."""
    if bodies is None:
        return {}
    return {
        "request": json_text(bodies.request),
        "response": json_text(bodies.response),
        "request_headers": _headers(bodies.request_headers),
        "response_headers": _headers(bodies.response_headers),
        "request_body": bodies.request_body,
        "response_body": bodies.response_body,
        "chunk_times_us": list(bodies.chunks.times_us),
        "chunk_sizes": list(bodies.chunks.sizes),
        "sent_times_us": list(bodies.sent.times_us),
        "sent_sizes": list(bodies.sent.sizes),
    }


def _headers(headers: RecordedHeaders) -> str | None:
    return json_text([[name, value] for name, value in headers])


def _storable(row: dict[str, Any]) -> dict[str, Any]:
    return {name: _utf8(value) for name, value in row.items()}


def _utf8(value: Any) -> Any:
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
    return [_utf8(member) for member in value] if isinstance(value, list) and value else value
