#!/usr/bin/python3
"""A Jenkins job's step: makes a release known, rolls it out, watches it to its end and says what failed first.

Needs grpcio and what protoc makes of proto/schema/echelon/control/v1/control.proto, on PYTHONPATH:

    protoc -I proto/schema --python_out=OUT --grpc_out=OUT \
        --plugin=protoc-gen-grpc="$(command -v grpc_python_plugin)" echelon/control/v1/control.proto

or the same by `python3 -m grpc_tools.protoc` with --grpc_python_out. Which coordinator, and as whom, is in the
environment, as for the command `echelon`: ECHELON_COORDINATOR, ECHELON_CA, ECHELON_CERT, ECHELON_KEY (a deployer's).

Lines for people first; one JSON object on the last line. Exit codes as those of `echelon`: 0 done, 1 error, 3 failed or
aborted, 5 rolled back. Deliberately not a library: a job copies what it needs.
"""

import argparse
import json
import os
import sys
import time

import grpc

from channel import connect
from echelon.control.v1 import control_pb2 as control
from echelon.control.v1.control_pb2_grpc import ControlStub

# Of one call that is not a stream.
ANSWER_SECONDS = 30
# A coordinator that restarts is back well within this.
AWAY_SECONDS = 60
# Of the whole rollout: a job has an end, the rollout goes on without it.
WATCH_SECONDS = 3600

OUTCOMES = {
    control.ROLLOUT_STATE_SUCCEEDED: 0,
    control.ROLLOUT_STATE_SUCCEEDED_WITH_DEBT: 0,
    control.ROLLOUT_STATE_FAILED: 3,
    control.ROLLOUT_STATE_ABORTED: 3,
    control.ROLLOUT_STATE_EXPIRED: 3,
    control.ROLLOUT_STATE_ROLLED_BACK: 5,
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--app", required=True)
    parser.add_argument("--release", required=True)
    parser.add_argument("--url", required=True, help="of the artifact that this job has just built")
    parser.add_argument("--sha256", required=True)
    parser.add_argument("--size", required=True, type=int, help="in bytes")
    parser.add_argument("--playbook", required=True)
    parser.add_argument("--request-id", default=os.environ.get("BUILD_TAG"), help="default: $BUILD_TAG")
    given = parser.parse_args()
    if not given.request_id:
        parser.error("no --request-id and no BUILD_TAG: a job that is retried would start a second rollout")
    return given


def ask(call, request):
    """Asks again while the coordinator is away. Safe, because every create carries something that makes it one."""
    deadline = time.monotonic() + AWAY_SECONDS
    while True:
        try:
            return call(request, timeout=ANSWER_SECONDS)
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE or time.monotonic() > deadline:
                raise
            time.sleep(1)


def start(stub, given):
    what = control.CreatePlanRequest(app=given.app, release=given.release, playbook=given.playbook)
    request = control.CreateRolloutRequest(what=what, request_id=given.request_id, reason="started by a job")
    return ask(stub.CreateRollout, request)


def watch(stub, name):
    """Shows every event once, over lost connections too, and gives the rollout as it ended."""
    sequence, rollout = 0, None
    deadline = time.monotonic() + WATCH_SECONDS
    while time.monotonic() < deadline:
        try:
            request = control.WatchRolloutRequest(name=name, from_sequence=sequence)
            for message in stub.WatchRollout(request, timeout=deadline - time.monotonic()):
                for event in message.events:
                    sequence = event.sequence + 1
                    at = event.time.ToDatetime().strftime("%H:%M:%S")
                    where = event.host or event.datacenter or name.rsplit("/", 1)[-1]
                    print(f"{at} {where}: {event.text}", flush=True)
                rollout = message.rollout
            # It ends with the rollout, and only after the last event.
            if rollout is not None and rollout.state in OUTCOMES:
                return rollout
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE:
                raise
            print("the connection is lost; the rollout goes on, and so does this", flush=True)
        time.sleep(1)
    raise TimeoutError(f"{name} has no outcome after {WATCH_SECONDS} s; it goes on without this job")


def first_failure(rollout):
    """The first host that failed, as the console should show it. None: no host did."""
    if not rollout.failures:
        return None
    failure = rollout.failures[0]
    code = failure.exit_code if failure.HasField("exit_code") else None
    print(f"\nFAILED on {failure.host}: phase {failure.phase} (attempt {failure.attempt}), exit code {code}")
    for line in failure.tail.splitlines():
        print(f"    {line}")
    return {
        "host": failure.host,
        "phase": failure.phase,
        "attempt": failure.attempt,
        "exit_code": code,
        "last_lines": failure.tail.splitlines(),
    }


def main():
    given = arguments()
    with connect() as channel:
        stub = ControlStub(channel)
        release = ask(
            stub.CreateRelease,
            control.CreateReleaseRequest(
                app=given.app, release=given.release, url=given.url, sha256=given.sha256, size_bytes=given.size
            ),
        )
        started = start(stub, given)
        # As after a retry of this step by Jenkins, which cannot know whether the first call arrived.
        again = start(stub, given)
        if again.name != started.name:
            raise AssertionError(f"one request id gave {started.name} and {again.name}")
        print(f"{started.name} rolls out {release.name}", flush=True)
        rollout = watch(stub, started.name)
        state = control.RolloutState.Name(rollout.state).removeprefix("ROLLOUT_STATE_")
        print(f"{rollout.name} ended: {state} {rollout.state_reason}")
        result = {
            "release": release.name,
            "started": [started.name, again.name],
            "rollout": rollout.name,
            "created_by": rollout.created_by,
            "state": state,
            "done": sum(wave.done for lane in rollout.lanes for wave in lane.waves),
            "first_failure": first_failure(rollout),
        }
    print(json.dumps(result))
    return OUTCOMES[rollout.state]


if __name__ == "__main__":
    try:
        sys.exit(main())
    except grpc.RpcError as error:
        sys.exit(f"{error.code().name}: {error.details()}")
