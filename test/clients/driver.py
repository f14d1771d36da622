"""Does with membroker.py what the lines on its standard input say, and answers each with a line: driver.ts in Python."""

import fcntl
import json
import os
import select
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../native/lib"))
import membroker  # noqa: E402

broker = None
mappings = {}
events = []
state = {}


def happened(kind, /, **details):
    events.append((kind, details))


def name_of(mapping):
    return next((name for name, one in mappings.items() if one is mapping), "")


def take(name, mapping, later=False):
    def on_revoke(mapping, notice):
        happened("revoke", mapping=name_of(mapping))
        return membroker.LATER if later else None

    mappings[name] = mapping
    mapping.on_revoke = on_revoke
    return mapping.info.wire


def connect(socket, reconnectMs=30000):
    global broker
    broker = membroker.connect(socket, reconnect=reconnectMs / 1000)
    broker.on_disconnected = lambda error: happened("disconnected")
    broker.on_reconnected = lambda: happened("reconnected")
    broker.on_lost = lambda mapping: happened("lost", mapping=name_of(mapping))
    broker.on_warning = lambda error: print(f"driver: {error}", file=sys.stderr)
    return "connected"


def close():
    broker.close()
    mappings.clear()
    events.clear()
    return "closed"


def status():
    told = broker.status()
    return {name: told.get(name) for name in ("frozen", "ranges", "version")}


def get(name):
    allocation, found = broker.get(name)
    return {"allocations": [allocation.wire], "mappings": [one.wire for one in found]}


def map_(**args):
    name, as_, later = args.pop("name"), args.pop("as"), args.pop("later", False)
    return take(as_, broker.map(name, guest_address=args.pop("guestAddress", None), **args), later)


def write(mapping, text, offset=0):
    data = text.encode()
    mappings[mapping].memory[offset : offset + len(data)] = data
    return "written"


def read(mapping, length, offset=0):
    return mappings[mapping].memory[offset : offset + length].split(b"\0")[0].decode()


def guest(mappings):
    for index, name in enumerate(mappings):
        write(name, f"guest {index}")
    return {name: read(name, 10) for name in mappings}


def descriptor(mapping):
    fd = mappings[mapping].fd
    return {"open": os.fstat(fd) is not None, "closeOnExec": bool(fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC)}


OUTCOMES = {None: "gone", "revoked": "ended", "released": "ended", "quarantined": "quarantined"}


def seconds(milliseconds):
    return None if milliseconds is None else milliseconds / 1000


def claimed(one, as_, number):
    found = []
    for mapping in one.mappings:
        found.append(take(f"{as_}{number}", mapping))
        number += 1
    return {"allocation": one.allocation.wire, "joined": one.joined, "mappings": found}, number


def claim(**args):
    as_, name, take_over = args.pop("as"), args.pop("name", None), args.pop("takeOver", False)
    if name is not None:
        one = broker.take_over(name, **args) if take_over else broker.claim(name, **args)
        return {"claimed": [claimed(one, as_, 0)[0]], "notClaimed": []}
    rebuilt = broker.rebuild(args.pop("prefix", ""), take_over=take_over, **args)
    rows, number = [], 0
    for one in rebuilt.claimed:
        row, number = claimed(one, as_, number)
        rows.append(row)
    return {"claimed": rows, "notClaimed": [{"name": one.name, "outcome": one.outcome} for one in rebuilt.not_claimed]}


def await_(event):
    while True:
        for index, (kind, details) in enumerate(events):
            if kind == event:
                del events[index]
                return details
        broker.dispatch(None)


def on_watch(kind, item):
    if kind == "snapshot":
        rows = {name: [one.wire for one in item[name]] for name in ("allocations", "mappings")}
        happened("snapshot", again=item["again"], **rows)
    elif kind == "event":
        happened(item["kind"], **{name: item[name] for name in ("kind", "allocation", "bytes") if item.get(name) is not None})


def watch(mine=False):
    state["watch"] = broker.watch(on_watch, mine=mine)
    return "watching"


def unwatch():
    state["watch"].end()
    return "unwatched"


def participate(name, later=False, stuck=False):
    def prepare(participation, update):
        state["update"] = update.id
        happened("prepare", reason=update.reason, hasTime=update.deadline > 0)
        if stuck:
            participation.answer(update.id, ready=False, detail="it is stuck", stays_paused=True)
        elif not later:
            participation.answer(update.id)

    def cancelled(participation, update, reason):
        happened("cancelled", reason=reason)

    state["participation"] = broker.participate(name, prepare, cancelled)
    return "joined"


def fail(reason):
    state["participation"].answer(state["update"], ready=False, detail=reason)
    return "failed"


def leave():
    state["participation"].end()
    return "left"


def call(method, parameters={}):
    return "called" if broker.call(method, **parameters) is not None else None


def close_mapping(mapping):
    return OUTCOMES[mappings.pop(mapping).close()]


def complete(name):
    broker.complete_hand_over(name)
    return "completed"


def path(name):
    found = broker.path(name)
    return "nowhere" if found is None else os.stat(found).st_size


OPERATIONS = {
    "connect": connect,
    "close": close,
    "status": status,
    "allocate": lambda **args: broker.allocate(**args).wire,
    "get": get,
    "list": lambda prefix=None: {"allocations": [one.wire for one in broker.list(prefix)], "mappings": []},
    "grow": lambda **args: broker.grow(**args).wire,
    "shrink": lambda **args: broker.shrink(**args).wire,
    "discard": lambda pieces, **args: broker.discard(pieces=[(piece["offset"], piece["length"]) for piece in pieces], **args),
    "setMetadata": lambda metadata=None, **args: broker.set_metadata(metadata=metadata, **args).wire,
    "share": lambda access=None, **args: broker.share(access=access, **args).wire,
    "give": lambda **args: broker.give(**args).wire,
    "path": path,
    "map": map_,
    "write": write,
    "read": read,
    "guest": guest,
    "descriptor": descriptor,
    "closeMapping": close_mapping,
    "state": lambda mapping: mappings[mapping].state,
    "release": lambda name, secret=None, graceMs=None: OUTCOMES[broker.release(name, secret=secret, grace=seconds(graceMs))],
    "revoke": lambda id, secret=None, graceMs=None: OUTCOMES[broker.revoke(id, secret=secret, grace=seconds(graceMs))],
    "claim": claim,
    "completeHandOver": complete,
    "await": await_,
    "watch": watch,
    "unwatch": unwatch,
    "participate": participate,
    "fail": fail,
    "leave": leave,
    "call": call,
    "descriptors": lambda: len(os.listdir("/proc/self/fd")),
}



def handle(line):
    request = json.loads(line)
    try:
        answer = {"result": OPERATIONS[request["op"]](**request.get("args", {}))}
    except membroker.BrokerError as error:
        answer = {"error": {"code": error.code, "parameters": error.parameters, "message": str(error)}}
    print(json.dumps(answer), flush=True)


def main():
    """An event loop, as a program has one that the broker may ask for its memory."""
    pending = b""
    while True:
        open_ = broker is not None and not broker._closed
        readable = select.select([0, broker] if open_ else [0], [], [], broker.timeout() if open_ else None)[0]
        if open_:
            broker.dispatch(0)
        if 0 not in readable:
            continue
        data = os.read(0, 65536)
        if not data:
            break
        *lines, pending = (pending + data).split(b"\n")
        for line in lines:
            handle(line)
    if broker is not None:
        broker.close()


main()
