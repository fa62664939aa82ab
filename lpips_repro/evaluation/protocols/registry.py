"""The registry of protocols."""

from lpips_repro.datasets.packed import IMAGE_FIELDS, VOTE_FIELD
from lpips_repro.datasets.split import Split
from lpips_repro.errors import check_choice, check_new
from lpips_repro.evaluation.protocols.protocol import Protocol

PROTOCOLS: dict[str, Protocol] = {}


def register_protocol(cls: type[Protocol]) -> type[Protocol]:
    """Register an instance of a protocol. Datasets in the BAPPS layout may then have splits of its kind.

    Raises:
        UserError: if a protocol of this name is already registered.
        ValueError: if its fields differ from those of other protocols of this kind.
    """
    protocol = cls()
    check_new("protocol", protocol.name, PROTOCOLS)
    if protocol.images:
        known = (
            IMAGE_FIELDS.setdefault(protocol.kind, protocol.images),
            VOTE_FIELD.setdefault(protocol.kind, protocol.vote),
        )
        if known != (protocol.images, protocol.vote):
            raise ValueError(f"protocol {protocol.name}: splits of kind {protocol.kind} have the fields {known}")
    PROTOCOLS[protocol.name] = protocol
    return cls


def protocol_of(split: Split) -> Protocol:
    """The first protocol for the kind of a split. Other protocols of the kind have the same fields and distances.

    Raises:
        UserError: if no protocol has this kind.
    """
    first: dict[str, Protocol] = {}
    for protocol in PROTOCOLS.values():
        first.setdefault(protocol.kind, protocol)
    kind = split.card["kind"]
    check_choice(f"{split.name}: kind", kind, first)
    return first[kind]
