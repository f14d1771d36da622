"""A client of the memory broker membrokerd, on Python's standard library (3.9 or newer, Linux).

It uses the words of the TypeScript library and of libmembroker. Sizes, offsets, lengths and addresses are bytes, durations seconds.

    import membroker

    with membroker.connect() as broker:
        broker.allocate("vm-42/ram", 4 << 30)
        mapping = broker.map("vm-42/ram", guest_address=0)
        mapping.memory[0:5] = b"hello"

After the program, the broker or the kernel was replaced:

        for claimed in broker.rebuild("vm-42/").claimed:
            for mapping in claimed.mappings: ...

One thread at a time may use a Broker and its mappings. The library starts no thread. A program that holds mappings calls
Broker.dispatch() when Broker.fileno() is readable, and at the latest after Broker.timeout() seconds: otherwise the broker waits in vain
when it wants memory back. A claim belongs to the process that connected, and ends with it.
"""

from __future__ import annotations

import array
import errno
import json
import mmap
import os
import random
import re
import select
import socket
import threading
import time
import weakref
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterable, Iterator, List, NoReturn, Optional, Tuple

__all__ = [
    "Allocation", "Broker", "BrokerError", "Claimed", "Mapping", "MappingInfo", "NotClaimed", "Participation", "Rebuilt", "Update", "Watch",
    "connect", "DEFAULT_SOCKET",
]

VERSION = "0.1.0"
DEFAULT_SOCKET = "/run/membroker/broker.sock"

_INTERFACE = "io.membroker.Broker."
_FDS_PER_MESSAGE_MAX = 128
_MESSAGE_BYTES_MAX = 65536
_REPLY_BYTES_MAX = 4194304
_NESTING_MAX = 64
_INTEGER_MAX = 2**53 - 1

Json = Dict[str, Any]


class BrokerError(Exception):
    """Everything that the library raises.

    code is the error's name in WIRE.md ("NoSpace"), or one of the library's own: BrokerUnreachable, Closed, ConnectionLost (the broker did
    it entirely or not at all), InvalidArgument, MapFailed, MappingRevoked, ProtocolViolation, TimedOut. parameters are the broker's.
    """

    def __init__(self, code: str, message: str, parameters: Optional[Json] = None) -> None:
        super().__init__(message)
        self.code = code
        self.parameters: Json = parameters or {}


def _violation(method: str, reason: str) -> BrokerError:
    return BrokerError("ProtocolViolation", f"the broker's reply to {method} can't be used: {reason}")


# ---- What the broker says ----


def _integer(value: Any, low: int = -_INTEGER_MAX, high: int = _INTEGER_MAX) -> int:
    if type(value) is not int or not low <= value <= high:
        raise ValueError("an integer is missing")
    return value


def _size(value: Any) -> int:
    return _integer(value, 0)


def _pid(value: Any) -> Optional[int]:
    return None if value is None else _integer(value, 0, 2**31 - 1)


def _typed(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise ValueError(f"it is no {kind.__name__}")
    return value


def _word(value: Any, *words: str) -> str:
    if value not in words or type(value) is not str:
        raise ValueError("a word is none of the contract's")
    return value


def _object(value: Any) -> Optional[Json]:
    return None if value is None else _typed(value, dict)


@dataclass(frozen=True)
class Allocation:
    """A named, owned, persisted piece of memory, as the broker described it."""

    id: int
    name: str
    range: str
    uid: int
    bytes: int
    align_bytes: int
    extents: Tuple[Tuple[int, int], ...]
    """(offset in the range, length)"""
    metadata: Optional[Json]
    secret: bool
    shares: Tuple[Tuple[int, str], ...]
    """(uid, "read" or "readWrite")"""
    mappings: int
    holder_pid: Optional[int]
    successor_pid: Optional[int]
    verdict: str
    """"intact", "changed", "poisoned" or "unverified": what is known of the contents after a kexec"""
    wire: Json = field(repr=False, compare=False)
    """the broker's own words"""

    @staticmethod
    def _of(value: Any) -> "Allocation":
        wire = _typed(value, dict)
        return Allocation(
            id=_integer(wire.get("id")),
            name=_typed(wire.get("name"), str),
            range=_typed(wire.get("range"), str),
            uid=_integer(wire.get("uid"), 0, 2**32 - 1),
            bytes=_size(wire.get("bytes")),
            align_bytes=_size(wire.get("alignBytes")),
            extents=tuple((_size(one.get("offset")), _size(one.get("length"))) for one in _typed(wire.get("extents"), list)),
            metadata=_object(wire.get("metadata")),
            secret=_typed(wire.get("secret"), bool),
            shares=tuple(
                (_integer(one.get("uid"), 0, 2**32 - 1), _word(one.get("access"), "read", "readWrite"))
                for one in _typed(wire.get("shares"), list)
            ),
            mappings=_integer(wire.get("mappings")),
            holder_pid=_pid(wire.get("holderPid")),
            successor_pid=_pid(wire.get("successorPid")),
            verdict=_word(wire.get("verdict"), "intact", "changed", "poisoned", "unverified"),
            wire=wire,
        )


@dataclass(frozen=True)
class MappingInfo:
    """A mapping as the broker described it."""

    id: int
    allocation: str
    offset: int
    length: int
    access: str
    guest_address: Optional[int]
    metadata: Optional[Json]
    uid: int
    pid: Optional[int]
    state: str
    wire: Json = field(repr=False, compare=False)

    @staticmethod
    def _of(value: Any) -> "MappingInfo":
        wire = _typed(value, dict)
        guest_address = wire.get("guestAddress")
        return MappingInfo(
            id=_integer(wire.get("id")),
            allocation=_typed(wire.get("allocation"), str),
            offset=_size(wire.get("offset")),
            length=_size(wire.get("length")),
            access=_word(wire.get("access"), "read", "readWrite"),
            guest_address=None if guest_address is None else _size(guest_address),
            metadata=_object(wire.get("metadata")),
            uid=_integer(wire.get("uid"), 0, 2**32 - 1),
            pid=_pid(wire.get("pid")),
            state=_word(wire.get("state"), "held", "dormant", "revoking"),
            wire=wire,
        )

    def _is(self, other: "MappingInfo") -> bool:
        """Ids start anew in a range whose table did not survive, so the id alone proves nothing."""
        return (self.id, self.allocation, self.offset, self.length) == (other.id, other.allocation, other.offset, other.length)


def _decoded(method: str, decode: Callable[[], Any]) -> Any:
    try:
        return decode()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _violation(method, f"it is not as the contract says: {error}") from None


_SENTENCES = {
    "NotFound": "there is no {kind} {name} that you may see",
    "NameTaken": "the name {name} is in use",
    "InvalidArgument": "{parameter}: {reason}",
    "NoSpace": "range {range} can't serve {requestedBytes} bytes: {freeBytes} free, {largestFreeBytes} in one piece",
    "QuotaExceeded": "uid {uid} is over its quota of {resource}: {requested} requested, {used} of {limit} in use",
    "PermissionDenied": "{reason}",
    "AlreadyClaimed": "process {pid}, which is alive, holds {name}",
    "NotClaimed": "this process does not hold {name}: claim it first",
    "Frozen": "the broker is frozen and refuses changes: {reason}",
    "RangeReadOnly": "range {range} is read-only: {reason}",
    "TableFull": "the allocation table of range {range} is full ({stateBytesMax} bytes of state)",
    "LimitExceeded": "over the limit {limit} (at most {max})",
    "Busy": "{name} is busy: {operation} is under way",
    "SourceFailed": "{operation} failed in range {range}: {reason} ({code})",
    "InvalidParameter": "the broker does not accept parameter {parameter}",
    "MethodNotFound": "the broker does not know the method {method}: it is older than this library",
    "InterfaceNotFound": "the program at the socket does not speak {interface}",
}


def _refusal(name: str, parameters: Json) -> BrokerError:
    code = name.rpartition(".")[2]
    try:
        message = _SENTENCES[code].format_map(parameters)
    except (KeyError, ValueError, IndexError, AttributeError, TypeError):
        message = f"the broker refused with {code} {json.dumps(parameters)}"
    return BrokerError(code, message, parameters)


# ---- One connection ----

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


def _nests_too_deep(message: bytes) -> bool:
    if len(message) <= 2 * _NESTING_MAX:
        return False
    depth = 0
    for byte in _STRING.sub(b"", message):
        if byte in b"{[":
            depth += 1
            if depth > _NESTING_MAX:
                return True
        elif byte in b"}]":
            depth -= 1
    return False


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _parse(message: bytes) -> Json:
    """One message; ValueError says what is wrong with it."""
    if not message:
        raise ValueError("empty message")
    if _nests_too_deep(message):
        raise ValueError(f"message nested deeper than {_NESTING_MAX}")
    try:
        text = message.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("message is not valid UTF-8") from None
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise ValueError("message is not valid JSON") from None
    if type(value) is not dict:
        raise ValueError("message is not a JSON object")
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("message has a string that is not valid Unicode") from None
    return value


@dataclass
class _Reply:
    error: Optional[str]
    parameters: Json
    continues: bool
    fds: List[int]

    def close(self) -> None:
        for fd in self.fds:
            os.close(fd)
        self.fds = []


def _read_reply(message: bytes, fds: List[int]) -> _Reply:
    value = _parse(message)
    if any(name not in ("error", "parameters", "continues") and "." not in name for name in value):
        raise ValueError("a reply with an unknown member")
    error = value.get("error")
    parameters = value.get("parameters")
    continues = value.get("continues")
    if error is not None and type(error) is not str:
        raise ValueError("a reply whose error is not a name")
    if parameters is not None and type(parameters) is not dict:
        raise ValueError("a reply whose parameters are not an object")
    if continues is not None and type(continues) is not bool:
        raise ValueError("a reply whose continues is not a boolean")
    if error is not None and continues:
        raise ValueError("an error reply that continues")
    if error is not None and fds:
        raise ValueError("a reply with descriptors that were not asked for")
    return _Reply(error, parameters or {}, bool(continues), fds)


def _advice(error: OSError) -> str:
    return {
        errno.ENOENT: "there is no such socket. Is membrokerd running? MEMBROKER_SOCKET can name its socket",
        errno.ECONNREFUSED: "nobody listens at it: membrokerd is not running, or just being restarted, or this is no socket",
        errno.EACCES: "this user may not open it: membrokerd's configuration says which group may",
        errno.EAGAIN: "its backlog is full: membrokerd does not accept connections now",
    }.get(error.errno or 0, str(error))


class _Connection:
    """Calls out, replies with their descriptors in. The socket does not block; a deadline is a time of time.monotonic(), or None."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        try:
            self.socket.connect(path)
        except OSError as error:
            self.socket.close()
            message = f"can't reach the broker at {path}: {_advice(error)}"
            raise BrokerError("BrokerUnreachable", message, {"errno": errno.errorcode.get(error.errno or 0, "")}) from None
        self._bytes = bytearray()
        self._looked = 0
        self._first: List[int] = []
        self._arrived: List[int] = []
        self._owner = -1

    def fileno(self) -> int:
        return self.socket.fileno()

    def close(self) -> None:
        """Idempotent."""
        self.socket.close()
        for fd in self._first + self._arrived:
            os.close(fd)
        self._first, self._arrived = [], []

    def wait(self, events: int, deadline: Optional[float]) -> bool:
        poller = select.poll()
        poller.register(self.socket, events)
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if poller.poll(None if left is None else left * 1000):
                return True
            if left == 0.0:
                return False

    @property
    def ended(self) -> bool:
        """Whether the other end is known to have gone, or sent what nobody asked for."""
        return self.wait(select.POLLIN | select.POLLRDHUP, 0.0)

    @property
    def hung_up(self) -> bool:
        return self.wait(select.POLLRDHUP, 0.0)

    def send(self, message: bytes, deadline: Optional[float]) -> None:
        view, sent = memoryview(message), False
        while view:
            try:
                view = view[self.socket.send(view, socket.MSG_NOSIGNAL) :]
                sent = True
            except BlockingIOError:
                if not self.wait(select.POLLOUT, deadline):
                    raise BrokerError("TimedOut", "the broker did not take the call in time") from None
            except OSError as error:
                lost = BrokerError("ConnectionLost", f"the connection broke: {error}")
                lost.sent = sent  # type: ignore[attr-defined]
                raise lost from None

    def _receive(self, method: str) -> bool:
        """One read. Descriptors that come with it belong to the last message that begins in it. False: there is nothing."""
        room = socket.CMSG_SPACE((_FDS_PER_MESSAGE_MAX + 1) * array.array("i").itemsize)
        try:
            data, ancillary, flags, _ = self.socket.recvmsg(65536, room, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return False
        except OSError as error:
            raise BrokerError("ConnectionLost", f"the connection broke: {error}") from None
        for level, kind, part in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds = array.array("i")
                fds.frombytes(part[: len(part) - len(part) % fds.itemsize])
                self._arrived.extend(fds)
        if flags & socket.MSG_CTRUNC:
            raise _violation(method, "descriptors were lost: more than 128 came, or the limit of open files is reached")
        if len(self._arrived) > _FDS_PER_MESSAGE_MAX:
            raise _violation(method, "more than 128 descriptors with one message")
        before = len(self._bytes)
        if self._arrived:
            nul = data.rfind(0, 0, max(0, len(data) - 1))
            if nul < 0 and (before > 0 or not data):
                raise _violation(method, "descriptors not sent with the first byte of a message")
            self._owner = before + nul + 1
        self._bytes += data
        if not data:
            raise BrokerError("ConnectionLost", "the connection broke")
        return True

    def next(self, method: str, deadline: Optional[float]) -> _Reply:
        """The next reply. TimedOut: it did not come; after any other error the connection is of no use."""
        while True:
            end = self._bytes.find(0, self._looked)
            if (len(self._bytes) if end < 0 else end) > _REPLY_BYTES_MAX:
                raise _violation(method, f"message longer than {_REPLY_BYTES_MAX} bytes")
            if end >= 0:
                return self._take(method, end)
            self._looked = len(self._bytes)
            # What is left is the beginning of one message, or nothing.
            if self._arrived:
                self._first, self._arrived = self._arrived, []
            if not self._receive(method) and not self.wait(select.POLLIN, deadline):
                raise BrokerError("TimedOut", "the broker did not answer in time")

    def _take(self, method: str, end: int) -> _Reply:
        message = bytes(self._bytes[:end])
        del self._bytes[: end + 1]
        self._looked = 0
        if self._arrived and self._owner == 0:
            fds, self._arrived = self._arrived, []
        else:
            fds, self._first = self._first, []
        self._owner -= end + 1
        try:
            return _read_reply(message, fds)
        except ValueError as error:
            for fd in fds:
                os.close(fd)
            raise _violation(method, str(error)) from None


def _encode(method: str, parameters: Json, more: bool = False) -> bytes:
    """A call; members that are None are left out, as null is the same."""
    call: Json = {"method": _INTERFACE + method, "parameters": {name: value for name, value in parameters.items() if value is not None}}
    if more:
        call["more"] = True
    try:
        message = json.dumps(call, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise BrokerError("InvalidArgument", f"parameters: {error}") from None
    if len(message) > _MESSAGE_BYTES_MAX:
        raise BrokerError("InvalidArgument", f"parameters: call of {len(message)} bytes, at most {_MESSAGE_BYTES_MAX}")
    return message + b"\0"


def _no_descriptors(method: str, reply: _Reply) -> Json:
    if reply.fds:
        reply.close()
        raise _violation(method, "a reply with descriptors that were not asked for")
    return reply.parameters


# ---- Mappings ----


@dataclass(frozen=True)
class RevokeNotice:
    """Why a mapping is to end."""

    deadline: float
    """When the broker stops asking, in seconds since the Unix epoch."""
    left: float
    """The time until then, now, by the monotonic clock."""
    detail: Optional[str]


LATER = "later"
"""What a revoke handler returns that calls Mapping.close() by itself, before the deadline."""


class Mapping:
    """The right to map part of an allocation: one descriptor. It ends by close(), by a revoke of the broker, or with the process; only the
    first two give up the layout, which rebuild() of the next process gets otherwise."""

    def __init__(self, broker: "Broker", info: MappingInfo, fd: int, mmap_offset: int) -> None:
        self.info = info
        self.mmap_offset = mmap_offset
        """Where the mapping begins in the descriptor."""
        self.on_revoke: Optional[Callable[["Mapping", RevokeNotice], Optional[str]]] = None
        """Called by Broker.dispatch() when the broker wants it back: end everything made from it, release every view of memory. Then the
        library unmaps, closes, and tells the broker, unless it returns LATER."""
        self.state = "held"
        """held; revoking: the broker asked for it; lost: usable, but the broker does not know it any more; closed."""
        self._broker = broker
        self._fd = fd
        self._memory: Optional[mmap.mmap] = None
        self._announced = False
        self._notice: Optional[Tuple[float, float, Optional[str]]] = None

    @property
    def id(self) -> int:
        return self.info.id

    @property
    def fd(self) -> int:
        """The descriptor, close-on-exec. It stays the mapping's: duplicate it to keep it longer."""
        if self._fd < 0:
            raise BrokerError("MappingRevoked", f"mapping {self.info.id} of {self.info.allocation} is closed or was revoked")
        return self._fd

    @property
    def memory(self) -> mmap.mmap:
        """Its whole memory, mapped at the first use. Release every memoryview of it before it ends."""
        if self._memory is None:
            writable = self.info.access == "readWrite"
            protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
            try:
                self._memory = mmap.mmap(self.fd, self.info.length, mmap.MAP_SHARED, protection, offset=self.mmap_offset)
            except (OSError, ValueError, OverflowError) as error:
                raise BrokerError("MapFailed", f"mmap: {error}") from None
        return self._memory

    def _drop(self) -> None:
        """What is local ends. Raises BufferError, with nothing done, where a view of the memory is left."""
        if self._memory is not None:
            self._memory.close()
            self._memory = None
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1
        self.state = "closed"
        if self._broker._mappings.get(self.info.id) is self:
            del self._broker._mappings[self.info.id]

    def close(self) -> Optional[str]:
        """Give the mapping up for good: unmap, close, and make the broker forget the layout. Idempotent.

        Returns "revoked", "quarantined" (there is no proof yet that nobody reaches it), or None if the broker did not know it any more.
        BufferError: a view of its memory is left.
        """
        tell = self.state in ("held", "revoking")
        self._drop()
        if not tell:
            return None
        try:
            return self._broker._end("RevokeMapping", {"mapping": self.info.id}, self._broker._call_deadline(), True, False)
        except BrokerError as error:
            if error.code == "NotFound":
                return None
            raise

    def __enter__(self) -> "Mapping":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Mapping {self.info.id} of {self.info.allocation!r}, {self.state}>"


@dataclass(frozen=True)
class Claimed:
    """An allocation taken up, with every mapping of this owner's that waited for it."""

    allocation: Allocation
    mappings: List[Mapping]
    joined: bool
    """This process is the holder's successor: see Broker.complete_hand_over()."""


@dataclass(frozen=True)
class NotClaimed:
    """An allocation that the broker did not let this process claim. outcome: "held", "refused" or "unavailable"."""

    name: Optional[str]
    outcome: str
    detail: Optional[str]


@dataclass(frozen=True)
class Rebuilt:
    claimed: List[Claimed]
    not_claimed: List[NotClaimed]


# ---- Streams: what dispatch() reads ----


class _Stream:
    """A connection that the library keeps up by itself."""

    method = ""

    def __init__(self, broker: "Broker") -> None:
        self.broker = broker
        self.connection: Optional[_Connection] = None
        self.retry_at = time.monotonic()
        self.failures = 0
        self.idle = False
        self.error: Optional[BrokerError] = None
        broker._streams.append(self)

    def parameters(self) -> Json:
        return {}

    def receive(self, reply: _Reply) -> bool:
        """False: begin anew."""
        raise NotImplementedError

    def refused(self, error: BrokerError) -> bool:
        """True: it is over; otherwise it tries again."""
        return False

    def lost(self) -> None:
        pass

    def begin(self) -> None:
        assert self.connection
        self.connection.send(_encode(self.method, self.parameters(), True), time.monotonic())

    def hang_up(self) -> None:
        if self.connection:
            self.broker._epoll_remove(self.connection)
            self.connection.close()
        self.connection = None
        self.lost()

    def restart(self, soon: bool) -> None:
        self.hang_up()
        self.retry_at = time.monotonic() + (0 if soon else _backoff(self.failures))
        if not soon:
            self.failures += 1

    def end(self) -> None:
        self.idle = True
        self.hang_up()
        if self in self.broker._streams:
            self.broker._streams.remove(self)

    def step(self) -> bool:
        """Without waiting; False: there is nothing to do now."""
        if self.idle:
            return False
        try:
            if self.connection is None:
                if time.monotonic() < self.retry_at:
                    return False
                self.connection = _Connection(self.broker._path)
                self.broker._epoll.register(self.connection, select.EPOLLIN)
                self.begin()
                return True
            reply = self.connection.next(self.method, time.monotonic())
        except BrokerError as error:
            if error.code == "TimedOut":
                return False
            self._fail(error)
            return True
        self.failures = 0
        try:
            self._handle(reply)
        except BrokerError as error:
            self._fail(error)
        finally:
            reply.close()
        return True

    def _fail(self, error: BrokerError) -> None:
        self.error = error
        if not self.idle:
            self.restart(False)

    def _handle(self, reply: _Reply) -> None:
        if reply.error is not None:
            self.error = _refusal(reply.error, reply.parameters)
            if not self.refused(self.error) and not self.idle:
                self.restart(False)
            return
        self.error = None
        if reply.fds:
            raise _violation(self.method, "a reply with descriptors that were not asked for")
        if not self.receive(reply) and not self.idle:
            self.restart(True)

    def wait(self, good: Callable[[], bool]) -> None:
        """Until it is as the caller needs it; raises a failure that does not pass."""
        deadline = time.monotonic() + (self.broker._reconnect or 30.0)
        while not good():
            if self.step():
                if not good() and self.error and self.error.code not in ("BrokerUnreachable", "ConnectionLost"):
                    raise self.error
                continue
            now = time.monotonic()
            if now >= deadline:
                raise self.error or BrokerError("BrokerUnreachable", "the broker did not answer in time")
            if self.connection:
                self.connection.wait(select.POLLIN, deadline)
            else:
                time.sleep(max(0.0, min(self.retry_at, deadline) - now))


class _Notices(_Stream):
    """The broker's notices about this process' mappings, over a Watch of its own."""

    method = "Watch"

    def __init__(self, broker: "Broker") -> None:
        super().__init__(broker)
        self.ready = False
        self._judged: List[Mapping] = []
        self._known: List[MappingInfo] = []
        self.early: Dict[int, Tuple[float, float, Optional[str]]] = {}
        """Requests for mappings whose making was not answered when they came."""

    def parameters(self) -> Json:
        # The snapshot tells of every request anew.
        self._judged, self._known, self.early = list(self.broker._mappings.values()), [], {}
        return {"mine": True}

    def lost(self) -> None:
        self.ready = False

    def _asked(self, mapping: int, deadline: Optional[int], detail: Optional[str]) -> None:
        now = time.time()
        # Of a revocation that began while the connection was down only the state is known.
        at = now + 1 if deadline is None else deadline / 1000
        request = (at, time.monotonic() + max(0.0, at - now), detail)
        held = self.broker._mappings.get(mapping)
        if held:
            self.ask(held, request)
        elif len(self.early) < 65536:
            self.early[mapping] = request

    def ask(self, held: Mapping, request: Tuple[float, float, Optional[str]]) -> None:
        if held.state == "held":
            held.state, held._announced, held._notice = "revoking", False, request

    def receive(self, reply: _Reply) -> bool:
        told = reply.parameters
        rows = _decoded("Watch", lambda: [MappingInfo._of(one) for one in _typed(told.get("mappings") or [], list)])
        self._known += rows
        for row in rows:
            if row.state == "revoking":
                self._asked(row.id, None, None)
        if told.get("snapshotEnd"):
            for held in self._judged:
                if held.state in ("held", "revoking") and not any(held.info._is(row) for row in self._known):
                    held.state, held._announced = "lost", False
            self._judged, self._known, self.ready = [], [], True
        _decoded("Watch", lambda: self._event(_object(told.get("event")) or {}))
        # A missed event may be a revoke request; a new stream begins with the state.
        return not told.get("missed") and reply.continues

    def _event(self, event: Json) -> None:
        mapping = event.get("mapping")
        if mapping is None:
            return
        if event.get("kind") in ("revoked", "dormant"):
            self.early.pop(_integer(mapping), None)
        elif event.get("kind") == "revokeRequested":
            deadline = event.get("deadline")
            self._asked(_integer(mapping), None if deadline is None else _integer(deadline), event.get("detail"))


class _Errands(_Stream):
    """Calls that nobody waits for, made again while the broker is away or refuses for now."""

    def __init__(self, broker: "Broker", method: str) -> None:
        super().__init__(broker)
        self.method = method
        self.idle = True
        self.queue: List[Json] = []

    def add(self, parameters: Json) -> None:
        self.queue.append(parameters)
        if self.idle:
            self.idle, self.retry_at = False, time.monotonic()

    def begin(self) -> None:
        assert self.connection
        self.connection.send(_encode(self.method, self.queue[0]), time.monotonic())

    def _next(self) -> bool:
        self.queue.pop(0)
        if self.queue:
            self.begin()
        else:
            self.hang_up()
            self.idle = True
        return True

    def receive(self, reply: _Reply) -> bool:
        return not reply.continues and self._next()

    def refused(self, error: BrokerError) -> bool:
        if error.code in ("Busy", "Frozen", "RangeReadOnly"):
            return False
        if error.code != "NotFound":
            self.broker._warn(error)
        return self._next()


class Watch(_Stream):
    """A program's own watch, made by Broker.watch(). It goes on until end()."""

    method = "Watch"

    def __init__(self, broker: "Broker", mine: bool, handler: Callable[[str, Any], None]) -> None:
        super().__init__(broker)
        self._mine = mine
        self._again = False
        self._handler = handler
        self._rows: Tuple[List[Allocation], List[MappingInfo]] = ([], [])

    def parameters(self) -> Json:
        self._rows = ([], [])
        return {"mine": self._mine}

    def receive(self, reply: _Reply) -> bool:
        told = reply.parameters

        def read() -> Optional[Json]:
            self._rows[0].extend(Allocation._of(one) for one in _typed(told.get("allocations") or [], list))
            self._rows[1].extend(MappingInfo._of(one) for one in _typed(told.get("mappings") or [], list))
            return _object(told.get("event"))

        event = _decoded("Watch", read)
        if told.get("snapshotEnd"):
            again, self._again = self._again, True
            self._handler("snapshot", {"again": again, "allocations": self._rows[0], "mappings": self._rows[1]})
        if told.get("missed") and not self.idle:
            self._handler("missed", told["missed"])
        if event and not self.idle:
            self._handler("event", event)
        return reply.continues

    def refused(self, error: BrokerError) -> bool:
        self.end()
        self.broker._warn(error)
        return True


@dataclass(frozen=True)
class Update:
    """What a participant is asked to prepare for."""

    id: int
    reason: str
    deadline: float
    """How long the update waits, in seconds from now."""


class Participation(_Stream):
    """Made by Broker.participate(). It goes on, through restarts of the broker, until end()."""

    method = "JoinUpdates"

    def __init__(
        self,
        broker: "Broker",
        name: str,
        prepare: Callable[["Participation", Update], None],
        cancelled: Optional[Callable[["Participation", int, str], None]],
    ) -> None:
        super().__init__(broker)
        self._name, self._prepare, self._cancelled = name, prepare, cancelled
        self._number: Optional[int] = None
        self._preparing: Optional[int] = None
        self._answer: Optional[Json] = None

    def parameters(self) -> Json:
        return {"name": self._name}

    def answer(self, update: int, ready: bool = True, detail: Optional[str] = None, stays_paused: bool = False) -> None:
        """The answer to prepare, in the handler or later; detail: why it failed. stays_paused, where it is not ready: it can't go on by itself
        when the update is called off, and whoever leads the update names it.

        A later answer replaces it, such as not ready where what was saved is lost.
        """
        if ready and stays_paused:
            raise BrokerError("InvalidArgument", "stays_paused: it goes with ready=False only")
        if self._preparing != update:
            raise BrokerError("InvalidArgument", f"update: this process does not prepare for update {update}")
        line = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufffd\ud800-\udfff]+", " ", detail or "")
        cut = line.encode("utf-8")[:512].decode("utf-8", "ignore")
        self._answer = {"outcome": "ready" if ready else "failed", "detail": cut or None, "staysPaused": stays_paused or None}
        self._tell()

    def _tell(self) -> None:
        answer = {"participant": self._number, "update": self._preparing, **(self._answer or {})}
        self.broker._answers.add(answer)

    def _cancel(self, reason: str) -> None:
        update, self._preparing = self._preparing, None
        if self._cancelled and update is not None:
            self._cancelled(self, update, reason)

    def receive(self, reply: _Reply) -> bool:
        told = reply.parameters
        self._number = _decoded("JoinUpdates", lambda: _integer(told.get("participant")))
        kind, update, reason = told.get("kind"), told.get("update"), told.get("reason") or ""
        # While the connection was broken, an update may have ended, and another begun.
        if self._preparing is not None and self._preparing != update:
            self._cancel("it was called off while the broker was away")
        if kind == "cancel" and self._preparing is not None:
            self._cancel(reason)
        if kind == "prepare" and type(update) is int and not self.idle:
            if self._preparing is None:
                self._preparing, self._answer = update, None
                self._prepare(self, Update(update, reason, (told.get("deadlineMs") or 0) / 1000))
            elif self._answer:
                self._tell()
        return reply.continues

    def refused(self, error: BrokerError) -> bool:
        joined = self._number is not None
        self.end()
        if joined:
            self.broker._warn(error)
        return True


# ---- The broker ----


def _backoff(attempt: int) -> float:
    full = min(1.0, 0.01 * 2 ** min(attempt, 30))
    return full / 2 + full / 2 * random.random()


class _Patience:
    """How long a call whose connection breaks is tried again: for so many seconds from the first break on."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._breaks = 0
        self.give_up_at = time.monotonic() + seconds

    def may_try_again(self) -> bool:
        """After a break. Pauses before the next attempt; False: no more."""
        if self._breaks == 0:
            self.give_up_at = time.monotonic() + self._seconds
        if time.monotonic() >= self.give_up_at:
            return False
        time.sleep(max(0.0, min(_backoff(self._breaks), self.give_up_at - time.monotonic())))
        self._breaks += 1
        return True


def _choose_socket() -> str:
    named = os.environ.get("MEMBROKER_SOCKET")
    if named:
        return named
    if os.getuid() != 0:
        runtime = os.environ.get("XDG_RUNTIME_DIR") or ""
        if not runtime.startswith("/"):
            runtime = f"/run/user/{os.getuid()}"
        own = f"{runtime}/membroker/broker.sock"
        if os.path.exists(own):
            return own
    return DEFAULT_SOCKET


_REPEATABLE = frozenset(
    "GetStatus ListRanges ListAllocations GetAllocation ListClients ListPoisoned GetRecovery GetStatistics ReadAllocation OpenConsole "
    "MarkPoisoned CompleteHandOver Give AnswerUpdate ProceedUpdate KeepUpdate GetUpdate GetUpdateReport ForgetUpdateReport ReportResumed "
    "Reload SetLogLevel".split()
)


def connect(socket: Optional[str] = None, *, reconnect: float = 30.0, timeout: Optional[float] = 60.0) -> "Broker":
    """Connect to the broker, and see that it answers.

    socket: by default $MEMBROKER_SOCKET; or, not as root, the socket of a broker that this user runs, where it exists; or the host's.
    reconnect: how long a call waits for a broker that is away. timeout: how long a call waits for its reply; None: for ever.
    Raises BrokerError BrokerUnreachable, ProtocolViolation.
    """
    return Broker(socket or _choose_socket(), reconnect, timeout)


_brokers: "weakref.WeakSet[Broker]" = weakref.WeakSet()
_brokers_lock = threading.Lock()


class Broker:
    """A connection to the broker, made by connect(). A context manager: its end closes what is open here; the broker keeps allocations and
    layouts for the next claim."""

    def __init__(self, path: str, reconnect: float, timeout: Optional[float]) -> None:
        self.on_lost: Optional[Callable[[Mapping], None]] = None
        """The broker does not know a mapping any more; nobody else will map the same memory."""
        self.on_disconnected: Optional[Callable[[Optional[BrokerError]], None]] = None
        self.on_reconnected: Optional[Callable[[], None]] = None
        self.on_warning: Optional[Callable[[BrokerError], None]] = None
        """The broker refused something that the library told it by itself."""
        self._path, self._reconnect, self._timeout = path, reconnect, timeout
        self._pid = os.getpid()
        self._main: Optional[_Connection] = None
        self._mappings: Dict[int, Mapping] = {}
        self._streams: List[_Stream] = []
        self._notices: Optional[_Notices] = None
        self._was_up: Optional[bool] = None
        self._claim_cut_off = False
        self._closed = False
        self._depth = 0
        give_up_at = time.monotonic() + 5
        while True:
            try:
                self._main = self._greet()
                break
            except BrokerError as error:
                if error.parameters.get("errno") != "EAGAIN" or time.monotonic() >= give_up_at:
                    raise
            time.sleep(0.005)
        self._epoll = select.epoll()
        self._gives_back = _Errands(self, "RevokeMapping")
        self._answers = _Errands(self, "AnswerUpdate")
        with _brokers_lock:
            _brokers.add(self)

    # -- the way to the broker --

    def _check(self) -> None:
        if self._closed:
            raise BrokerError("Closed", "this broker connection was closed by close()")
        if self._pid != os.getpid():
            raise BrokerError("InvalidArgument", f"broker: process {self._pid} made it; a child must connect anew")

    def _greet(self) -> _Connection:
        connection = _Connection(self._path)
        try:
            connection.send(_encode("GetStatus", {}), time.monotonic() + (self._reconnect or 30.0))
            reply = connection.next("GetStatus", time.monotonic() + (self._reconnect or 30.0))
            told = _no_descriptors("GetStatus", reply)
            if reply.error is not None:
                raise _refusal(reply.error, told)
            _decoded("GetStatus", lambda: [_typed(told.get(name), str) for name in ("version", "bootId")])
            _decoded("GetStatus", lambda: [_integer(told.get(name)) for name in ("pid", "startedAt")])
            return connection
        except BrokerError as error:
            connection.close()
            if error.code in ("ConnectionLost", "TimedOut"):
                raise BrokerError(
                    "BrokerUnreachable",
                    f"the program at {self._path} did not answer: it may be at its limit of clients, shutting down, or no membrokerd",
                ) from None
            raise

    def _call_deadline(self) -> Optional[float]:
        return None if self._timeout is None else time.monotonic() + self._timeout

    def _up(self, deadline: float) -> _Connection:
        if self._main and not self._main.ended:
            return self._main
        self._hang_up()
        attempt = 0
        while True:
            try:
                self._main = self._greet()
                return self._main
            except BrokerError as error:
                if error.code != "BrokerUnreachable" or time.monotonic() >= deadline:
                    raise
            time.sleep(max(0.0, min(_backoff(attempt), deadline - time.monotonic())))
            attempt += 1

    def _hang_up(self) -> None:
        if self._main:
            self._main.close()
        self._main = None

    def _dial(self) -> _Connection:
        deadline, attempt = time.monotonic() + self._reconnect, 0
        while True:
            try:
                return _Connection(self._path)
            except BrokerError:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(max(0.0, min(_backoff(attempt), deadline - time.monotonic())))
            attempt += 1

    def _call(self, method: str, parameters: Json) -> _Reply:
        self._check()
        message = _encode(method, parameters)
        patience = _Patience(self._reconnect)
        while True:
            connection = self._up(patience.give_up_at)
            try:
                connection.send(message, self._call_deadline())
                reply = connection.next(method, self._call_deadline())
                break
            except BrokerError as error:
                self._hang_up()
                if error.code != "ConnectionLost":
                    raise
                sent = getattr(error, "sent", True)
                if (sent and method not in _REPEATABLE) or not patience.may_try_again():
                    raise BrokerError(
                        "ConnectionLost",
                        f"the connection broke while {method} was in progress: the broker carried it out entirely, or not at all. Check the "
                        "current state before you repeat it",
                    ) from None
            except BaseException:
                # A late reply must not be taken for another call's.
                self._hang_up()
                raise
        if reply.continues:
            reply.close()
            self._hang_up()
            raise _violation(method, "several replies to a call without more")
        if reply.error is not None:
            raise _refusal(reply.error, reply.parameters)
        return reply

    def call(self, method: str, **parameters: Any) -> Json:
        """Any method of the contract that answers at once and returns no descriptor, as call("Freeze", reason="update")."""
        return _no_descriptors(method, self._call(method, parameters))

    def _change(self, method: str, **parameters: Any) -> Allocation:
        told = self.call(method, **parameters)
        return _decoded(method, lambda: Allocation._of(told.get("allocation")))

    # -- allocations --

    def status(self) -> Json:
        """The broker at a glance, in the contract's words."""
        return self.call("GetStatus")

    def allocate(
        self,
        name: str,
        size: int,
        *,
        align: Optional[int] = None,
        range: Optional[str] = None,
        node: Optional[int] = None,
        contiguous: Optional[bool] = None,
        metadata: Optional[Json] = None,
        secret: Optional[str] = None,
        owner: Optional[int] = None,
    ) -> Allocation:
        """Reserve memory under a name; this process holds it from then on. It reads as zeros.

        Raises BrokerError NameTaken, NoSpace, QuotaExceeded, InvalidArgument, TableFull, Frozen, PermissionDenied, ...
        """
        return self._change(
            "Allocate", name=name, bytes=size, alignBytes=align, range=range, node=node, contiguous=contiguous, metadata=metadata,
            secret=secret, uid=owner,
        )  # fmt: skip

    def get(self, name: str) -> Tuple[Allocation, List[MappingInfo]]:
        """An allocation, and all its mappings, of every process."""
        told = self.call("GetAllocation", name=name)
        return _decoded(
            "GetAllocation",
            lambda: (Allocation._of(told.get("allocation")), [MappingInfo._of(one) for one in _typed(told.get("mappings"), list)]),
        )

    def path(self, name: str) -> Optional[str]:
        """Where a process of the owner's uid opens the memory as a file, as long as the allocation exists; for its owner and administrators.

        None: nowhere (the configuration does not give the owner open_by_path, or the range is of another source than directory).
        """
        told = self.call("GetAllocation", name=name).get("path")
        return None if told is None else _decoded("GetAllocation", lambda: _typed(told, str))

    def list(self, prefix: Optional[str] = None) -> Iterator[Allocation]:
        """The allocations that this process may see, in order of id."""
        after = 0
        while True:
            told = self.call("ListAllocations", prefix=prefix, after=after or None)
            yield from _decoded("ListAllocations", lambda: [Allocation._of(one) for one in _typed(told.get("allocations"), list)])
            if told.get("next") is None:
                return
            # A broker that does not move on would keep us for ever.
            after = _decoded("ListAllocations", lambda: _integer(told["next"], after + 1))

    def grow(self, name: str, size: int, *, secret: Optional[str] = None) -> Allocation:
        """Make it larger; size is that of the whole. Contents and mappings stay."""
        return self._change("Grow", name=name, bytes=size, secret=secret)

    def shrink(self, name: str, size: int, *, secret: Optional[str] = None) -> Allocation:
        """Make it smaller; size is that of the whole. Its end goes back to the range once nobody reaches it.

        Raises BrokerError Busy (a mapping reaches beyond it), SourceFailed (somebody has it open), InvalidArgument, ...
        """
        return self._change("Shrink", name=name, bytes=size, secret=secret)

    def discard(self, name: str, pieces: Iterable[Tuple[int, int]], *, secret: Optional[str] = None) -> int:
        """Give the pages of pieces (offset, length) back to the host; returns the bytes that the allocation then has from it.

        They read as zeros, and the next touch takes new pages, or fails with SIGBUS where the host has none. The size, and what is
        charged for it, stay. After a failure do not use the pieces before a discard of them has succeeded.
        """
        parts = [{"offset": offset, "length": length} for offset, length in pieces]
        told = self.call("Discard", name=name, pieces=parts, secret=secret)
        return _decoded("Discard", lambda: _integer(told.get("residentBytes"), 0))

    def set_metadata(self, name: str, metadata: Optional[Json], *, secret: Optional[str] = None) -> Allocation:
        """Replace the owner's metadata; None removes it."""
        return self._change("SetMetadata", name=name, metadata=metadata, secret=secret)

    def share(self, name: str, uid: int, access: Optional[str], *, secret: Optional[str] = None) -> Allocation:
        """Let another uid map it ("read" or "readWrite"); None ends the right."""
        return self._change("Share", name=name, uid=uid, access=access, secret=secret)

    def give(self, name: str, uid: int, *, former: Optional[int] = None) -> Allocation:
        """Give it, while nobody has it open, to another uid, with its layouts and its quota; its secret stays. For administrators.

        former: refused unless it belongs to this uid. Raises BrokerError AlreadyClaimed, Busy, QuotaExceeded, PermissionDenied, ...
        """
        return self._change("Give", **{"name": name, "uid": uid, "from": former})

    def _end(self, method: str, parameters: Json, deadline: Optional[float], repeatable: bool, dispatching: bool) -> str:
        self._check()
        message = _encode(method, parameters, True)
        patience = _Patience(self._reconnect)
        while True:
            try:
                return self._one_end(method, message, deadline, dispatching)
            except BrokerError as error:
                if error.code != "ConnectionLost" or not repeatable or not patience.may_try_again():
                    raise

    def _one_end(self, method: str, message: bytes, deadline: Optional[float], dispatching: bool) -> str:
        connection = self._dial()
        try:
            connection.send(message, deadline)
            while True:
                reply = self._next_step(connection, method, deadline, dispatching)
                told = _no_descriptors(method, reply)
                if reply.error is not None:
                    raise _refusal(reply.error, told)
                if not reply.continues:
                    return _decoded(method, lambda: _word(told.get("outcome"), "revoked", "released", "quarantined"))
        finally:
            connection.close()

    def _next_step(self, connection: _Connection, method: str, deadline: Optional[float], dispatching: bool) -> _Reply:
        """The next reply; the notices go on meanwhile where the caller may run handlers."""
        if not dispatching:
            return connection.next(method, deadline)
        poller = select.poll()
        poller.register(connection, select.POLLIN)
        poller.register(self._epoll, select.POLLIN)
        while True:
            try:
                return connection.next(method, time.monotonic())
            except BrokerError as error:
                if error.code != "TimedOut" or (deadline is not None and time.monotonic() >= deadline):
                    raise
            waits = [wait for wait in (self.timeout(), None if deadline is None else deadline - time.monotonic()) if wait is not None]
            poller.poll(max(0.0, min(waits)) * 1000 if waits else None)
            self.dispatch(0)

    def release(
        self, name: str, *, grace: Optional[float] = None, secret: Optional[str] = None, timeout: Optional[float] = None
    ) -> str:
        """End an allocation: the broker revokes its mappings, scrubs the memory and frees it. This object's own mappings end by their
        handlers meanwhile. Not for handlers.

        Returns "released", or "quarantined" where there is no proof yet that its last holder is gone: the name is free, the memory is not.
        """
        if self._depth > 0:
            raise BrokerError("InvalidArgument", "broker: a handler can't release")
        deadline = None if timeout is None else time.monotonic() + timeout
        return self._end("Release", {"name": name, "graceMs": _milliseconds(grace), "secret": secret}, deadline, False, True)

    def revoke(self, mapping: int, *, grace: Optional[float] = None, secret: Optional[str] = None, timeout: Optional[float] = None) -> str:
        """End a mapping of any process, by its number. One of this object ends as by its close()."""
        own = self._mappings.get(mapping)
        if own:
            return own.close() or "revoked"
        deadline = None if timeout is None else time.monotonic() + timeout
        return self._end("RevokeMapping", {"mapping": mapping, "graceMs": _milliseconds(grace), "secret": secret}, deadline, False, False)

    # -- mappings --

    def _prepare(self) -> None:
        """Before the first descriptor: the broker can reach this process."""
        self._check()
        if self._notices is None:
            self._notices = _Notices(self)
        notices = self._notices
        if notices.ready and notices.connection and notices.connection.hung_up:
            notices.restart(True)
        notices.wait(lambda: notices.ready)

    def _adopt(self, method: str, grants: List[Any], reply: _Reply, skip_known: bool = False) -> List[Mapping]:
        """Grants with the descriptors that came with them, as mappings; on an error all are closed.

        skip_known: without those that are here already. A repeated take-over grants them again.
        """

        def read() -> List[Tuple[MappingInfo, int, int]]:
            rows = [
                (MappingInfo._of(one.get("mapping")), _integer(one.get("fileDescriptor"), 0, len(reply.fds) - 1), _size(one.get("mmapOffset")))
                for one in grants
            ]
            if len({index for _, index, _ in rows}) != len(rows) or len(rows) != len(reply.fds):
                raise ValueError("not each descriptor has its grant, and each grant its own")
            return rows

        try:
            rows = _decoded(method, read)
        except BrokerError:
            reply.close()
            raise
        fds, reply.fds = reply.fds, []
        known = [skip_known and self._has(info) for info, _, _ in rows]
        mappings = [Mapping(self, info, fds[index], offset) for (info, index, offset), here in zip(rows, known) if not here]
        for (_, index, _), here in zip(rows, known):
            if here:
                os.close(fds[index])
        for mapping in mappings:
            self._mappings[mapping.id] = mapping
            request = self._notices.early.pop(mapping.id, None) if self._notices else None
            if request and self._notices:
                self._notices.ask(mapping, request)
        return mappings

    def _has(self, info: MappingInfo) -> bool:
        held = self._mappings.get(info.id)
        return held is not None and held.state != "lost" and held.info._is(info)

    def map(
        self,
        name: str,
        *,
        offset: Optional[int] = None,
        length: Optional[int] = None,
        access: Optional[str] = None,
        guest_address: Optional[int] = None,
        metadata: Optional[Json] = None,
        secret: Optional[str] = None,
    ) -> Mapping:
        """The right to map part of an allocation that this process holds, or that is shared with its uid. By default all of it, "readWrite".

        Raises BrokerError NotClaimed, PermissionDenied, InvalidArgument, QuotaExceeded, LimitExceeded, SourceFailed, Frozen, ...
        """
        self._prepare()
        return self._create_mapping(
            name=name, offset=offset, length=length, access=access, guestAddress=guest_address, metadata=metadata, secret=secret
        )

    def _create_mapping(self, **parameters: Any) -> Mapping:
        reply = self._call("CreateMapping", parameters)
        return self._adopt("CreateMapping", [reply.parameters.get("grant")], reply)[0]

    # -- claims --

    def claim(self, name: str, *, secret: Optional[str] = None) -> Claimed:
        """Take up one of this owner's allocations, after this process, the broker or the kernel was replaced. Its dormant mappings come back
        as they were. For a uid that the allocation is shared with: its own dormant mappings come back, and the holder stays who it is; if
        it has none, the claim is refused. Where a reply is lost on the way, only the owner gets its mappings nevertheless; a sharer maps again.
        Raises BrokerError NotFound, AlreadyClaimed, PermissionDenied, SourceFailed, Frozen, ..."""
        return self._claim_one(name, secret, None)

    def take_over(self, name: str, *, secret: Optional[str] = None) -> Claimed:
        """As claim(), but where another living process of this owner holds it, join that process as its successor. It brings no mapping
        that this object has already."""
        return self._claim_one(name, secret, True)

    def _claim_one(self, name: str, secret: Optional[str], take_over: Optional[bool]) -> Claimed:
        rebuilt = self._collect({"name": name, "secret": secret, "takeOver": take_over}, secret)
        if rebuilt.claimed:
            return rebuilt.claimed[0]
        codes = {"held": "AlreadyClaimed", "refused": "PermissionDenied", "unavailable": "SourceFailed"}
        why = rebuilt.not_claimed[0] if rebuilt.not_claimed else None
        code = codes[why.outcome] if why else "NotFound"
        raise BrokerError(code, f"{name} can't be claimed: {why.detail if why else 'there is none that you may claim'}", {"name": name})

    def rebuild(self, prefix: str = "", *, secret: Optional[str] = None, take_over: bool = False) -> Rebuilt:
        """Claim all of this owner's allocations whose names begin with prefix, with their mappings. One that can't be claimed does not stop
        the others."""
        return self._collect({"prefix": prefix, "secret": secret, "takeOver": take_over or None}, secret)

    def _collect(self, parameters: Json, secret: Optional[str]) -> Rebuilt:
        self._prepare()
        message = _encode("Claim", parameters, True)
        claimed: Dict[int, Claimed] = {}
        not_claimed: List[NotClaimed] = []
        patience = _Patience(self._reconnect)
        try:
            while True:
                not_claimed.clear()
                try:
                    self._claim_pass(message, claimed, not_claimed)
                    break
                except BrokerError as error:
                    # What this process claimed already it may claim again.
                    if error.code != "ConnectionLost" or not patience.may_try_again():
                        raise
            if self._claim_cut_off:
                for one in claimed.values():
                    self._regrant(one, secret)
        except BaseException:
            # A caller that gets an error gets no objects: the earlier ones must not stay open unseen. The next claim makes them anew.
            for one in claimed.values():
                for mapping in one.mappings:
                    self._claim_cut_off = True
                    mapping._drop()
            raise
        return Rebuilt(list(claimed.values()), not_claimed)

    def _claim_pass(self, message: bytes, claimed: Dict[int, Claimed], not_claimed: List[NotClaimed]) -> None:
        connection = self._dial()
        cut_off = self._claim_cut_off
        try:
            connection.send(message, self._call_deadline())
            self._claim_cut_off = True
            while True:
                reply = connection.next("Claim", self._call_deadline())
                if reply.error is not None:
                    self._claim_cut_off = cut_off
                    raise _refusal(reply.error, reply.parameters)
                self._take_up(reply, claimed, not_claimed)
                if not reply.continues:
                    self._claim_cut_off = cut_off
                    return
        finally:
            connection.close()

    def _take_up(self, reply: _Reply, claimed: Dict[int, Claimed], not_claimed: List[NotClaimed]) -> None:
        told = reply.parameters
        try:
            outcome, grants, allocation = _decoded(
                "Claim",
                lambda: (
                    _word(told.get("outcome"), "claimed", "joined", "held", "refused", "unavailable", "nothing"),
                    _typed(told.get("grants"), list),
                    None if told.get("allocation") is None else Allocation._of(told.get("allocation")),
                ),
            )
            if outcome in ("claimed", "joined"):
                if allocation is None:
                    raise _violation("Claim", "it claims, but names no allocation")
                one = claimed.setdefault(allocation.id, Claimed(allocation, [], outcome == "joined"))
                one.mappings.extend(self._adopt("Claim", grants, reply, skip_known=True))
                return
            if reply.fds or grants:
                raise _violation("Claim", "a reply with descriptors that were not asked for")
            if outcome != "nothing":
                not_claimed.append(NotClaimed(allocation.name if allocation else None, outcome, told.get("detail")))
        finally:
            reply.close()

    def _regrant(self, one: Claimed, secret: Optional[str]) -> None:
        """A claim that was cut off may have granted mappings whose descriptors never arrived. For the broker this process holds them, so
        claiming again does not bring them: each is made once more, and the unreachable one ended."""
        # Where the allocation is only shared with this process, its holder is another one; but such a claim brings a mapping.
        own = one.mappings[0].info.pid if one.mappings else one.allocation.successor_pid if one.joined else one.allocation.holder_pid
        for info in self.get(one.allocation.name)[1]:
            if info.state != "held" or info.pid != own or self._is_here(info.id):
                continue
            layout = dict(
                name=info.allocation, offset=info.offset, length=info.length, access=info.access, guestAddress=info.guest_address,
                metadata=info.metadata, secret=secret,
            )  # fmt: skip
            try:
                one.mappings.append(self._create_mapping(**layout))
                made = True
            except BrokerError as error:
                if error.code not in ("LimitExceeded", "QuotaExceeded"):
                    raise
                made = False
            try:
                self._end("RevokeMapping", {"mapping": info.id}, self._call_deadline(), True, False)
            except BrokerError as error:
                if error.code != "NotFound":
                    raise
            if not made:
                # The unreachable one had its place.
                one.mappings.append(self._create_mapping(**layout))

    def _is_here(self, mapping: int) -> bool:
        """Whether this process has a mapping, by this object or another one: claims are the process'."""
        with _brokers_lock:
            brokers = list(_brokers)
        return any(mapping in one._mappings for one in brokers if one._path == self._path and one._pid == self._pid)

    def complete_hand_over(self, name: str) -> Allocation:
        """Take the place of the holder that this process has joined. The former holder's mappings end like any others."""
        return self._change("CompleteHandOver", name=name)

    # -- notices --

    def fileno(self) -> int:
        """Readable when dispatch() has something to do: for select, poll, asyncio's add_reader(). See also timeout()."""
        return self._epoll.fileno()

    def timeout(self) -> Optional[float]:
        """The seconds after which dispatch() is to be called also if fileno() is not readable; None: there is no such time."""
        if any(self._is_waiting(mapping) for mapping in self._mappings.values()):
            return 0.0
        now = time.monotonic()
        waits = [max(0.0, one.retry_at - now) for one in self._streams if not one.idle and one.connection is None]
        return min(waits) if waits else None

    def dispatch(self, timeout: Optional[float] = 0) -> None:
        """Do what is due: read notices, call handlers, answer the broker, reconnect. Waits up to timeout seconds for something to do; None: for
        ever."""
        self._check()
        if self._depth > 0:
            raise BrokerError("InvalidArgument", "broker: a handler can't dispatch")
        own = self.timeout()
        wait = timeout if own is None else own if timeout is None else min(timeout, own)
        self._epoll.poll(wait)
        self._depth += 1
        try:
            for stream in list(self._streams):
                while stream.step():
                    pass
            self._announce()
        finally:
            self._depth -= 1

    @staticmethod
    def _is_waiting(mapping: Mapping) -> bool:
        return not mapping._announced and mapping.state in ("revoking", "lost")

    def _announce(self) -> None:
        self._announce_connection()
        for mapping in list(self._mappings.values()):
            if self._closed or not self._is_waiting(mapping):
                continue
            mapping._announced = True
            if mapping.state == "revoking":
                self._announce_revoke(mapping)
            elif self.on_lost:
                self.on_lost(mapping)

    def _announce_connection(self) -> None:
        if self._notices is None or self._was_up == self._notices.ready:
            return
        before, self._was_up = self._was_up, self._notices.ready
        if not self._was_up and before and self.on_disconnected:
            self.on_disconnected(self._notices.error)
        elif self._was_up and before is False and self.on_reconnected:
            self.on_reconnected()

    def _announce_revoke(self, mapping: Mapping) -> None:
        deadline, ends_at, detail = mapping._notice or (0.0, 0.0, None)
        notice = RevokeNotice(deadline, max(0.0, ends_at - time.monotonic()), detail)
        if mapping.on_revoke and mapping.on_revoke(mapping, notice) == LATER:
            return
        if mapping.state != "revoking":
            return
        try:
            mapping._drop()
        except BufferError as error:
            self._warn(BrokerError("MapFailed", f"mapping {mapping.id} can't be given back: {error}"))
            return
        self._gives_back.add({"mapping": mapping.id})

    def _warn(self, error: BrokerError) -> None:
        if self.on_warning:
            self.on_warning(error)

    def _epoll_remove(self, connection: _Connection) -> None:
        try:
            self._epoll.unregister(connection)
        except (OSError, ValueError):
            pass

    def watch(self, handler: Callable[[str, Any], None], *, mine: bool = False) -> Watch:
        """First the state, then each change as it happens, by dispatch(): handler("snapshot", {"again", "allocations", "mappings"}),
        handler("event", the contract's Event), handler("missed", how many). After a broken connection it begins again with a snapshot."""
        self._check()
        return Watch(self, mine, handler)

    def participate(
        self,
        name: str,
        prepare: Callable[[Participation, Update], None],
        cancelled: Optional[Callable[[Participation, int, str], None]] = None,
    ) -> Participation:
        """Take part in live updates of the host: they wait for this process. dispatch() calls prepare, which pauses, saves, and calls
        Participation.answer(), at once or later; cancelled goes on. Returns when the broker knows of it."""
        self._check()
        participation = Participation(self, name, prepare, cancelled)
        try:
            participation.wait(lambda: participation._number is not None)
        except BaseException:
            participation.end()
            raise
        return participation

    def close(self) -> None:
        """End the connection, and close what is open here. The broker keeps allocations and layouts. Idempotent."""
        if self._closed:
            return
        self._closed = True
        for stream in list(self._streams):
            stream.end()
        self._hang_up()
        self._epoll.close()
        for mapping in list(self._mappings.values()):
            try:
                mapping._drop()
            except BufferError:
                # Who still has a view keeps the memory, as long as the view lives.
                os.close(mapping._fd)
                mapping._fd = -1

    def __enter__(self) -> "Broker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _milliseconds(seconds: Optional[float]) -> Optional[int]:
    return None if seconds is None else round(seconds * 1000)
