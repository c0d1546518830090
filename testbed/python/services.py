#!/usr/bin/python3
"""Asks a coordinator how it is (grpc.health.v1) and what it serves (grpc.reflection.v1), as a generic client would.

Needs grpcio alone: the few messages are read field by field, because Debian has no Python package of these two
services. The environment is that of jenkins.py. Prints one JSON object. Deliberately no use of Echelon's own protos.
"""

import json
import sys

import grpc

from channel import connect

ANSWER_SECONDS = 30
SERVING = 1
# ServerReflectionRequest { list_services = 7: "*" }
LIST_SERVICES = b"\x3a\x01*"
VARINT, BYTES = 0, 2


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def values(data, wanted):
    """Every value of the field with this number, in a message with numbers and bytes only."""
    at, found = 0, []
    while at < len(data):
        key, at = varint(data, at)
        value, at = varint(data, at)
        if key & 7 == BYTES:
            value, at = data[at : at + value], at + value
        elif key & 7 != VARINT:
            raise ValueError(f"a field of wire type {key & 7}")
        if key >> 3 == wanted:
            found.append(value)
    return found


def health(channel):
    """Of the whole server: HealthCheckResponse { status = 1 }."""
    answer = channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=ANSWER_SECONDS)
    return "SERVING" if values(answer, 1) == [SERVING] else f"not serving: {answer!r}"


def services(channel):
    """Their names: ServerReflectionResponse { list_services_response = 6: { service = 1: { name = 1 } } }."""
    call = channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
    answer = next(call(iter([LIST_SERVICES]), timeout=ANSWER_SECONDS))
    listed = [service for response in values(answer, 6) for service in values(response, 1)]
    return sorted(name.decode() for service in listed for name in values(service, 1))


def main():
    with connect() as channel:
        print(json.dumps({"health": health(channel), "services": services(channel)}))


if __name__ == "__main__":
    try:
        main()
    except grpc.RpcError as error:
        sys.exit(f"{error.code().name}: {error.details()}")
