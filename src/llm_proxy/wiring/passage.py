"""What becomes of the headers of a request at the proxy, for whoever asks on a page."""

from collections.abc import Sequence

from llm_proxy.ui.settings import PassedHeader


def passage(headers: Sequence[tuple[str, str]]) -> list[PassedHeader]:
    """Which of these go on, and what is on record of them, by the very rules of the proxy. Raises ValueError."""
    # Here, since nothing else of the process with the pages needs what the proxy is made of.
    from llm_proxy.proxy.credentials import CREDENTIAL_HEADERS, Fingerprints  # noqa: PLC0415
    from llm_proxy.proxy.headers import HeaderPolicy  # noqa: PLC0415
    from llm_proxy.wiring.proxy import header_rules  # noqa: PLC0415

    raw = [(name.encode(errors="replace"), value.encode(errors="replace")) for name, value in headers]
    if any(name.lower() == b"content-length" and not value.isdigit() for name, value in raw):
        raise ValueError("Content-Length is no number")
    head = HeaderPolicy(header_rules(), Fingerprints(b"")).request(raw)
    hosts = {head.passed[at] for at in head.hosts}
    keys = {head.passed[at] for at in head.credentials}
    told = []
    for header, (name, recorded) in zip(raw, head.recorded, strict=True):
        goes_on = "yes" if header in head.passed else "no"
        if header in hosts:
            goes_on = "as the upstream's"
        elif header in keys:
            goes_on = "yes, unless the proxy has a key for the upstream"
        on_record = "name only" if recorded is None else "name and value"
        if name.lower() in CREDENTIAL_HEADERS:
            on_record = "name, and a fingerprint of the key"
        told.append(PassedHeader(name=name.decode(errors="replace"), goes_on=goes_on, recorded=on_record))
    return told
