"""A channel to a coordinator over mutual TLS, from the environment that the command `echelon` takes too.

Deliberately no default for any of it: who a job is has to be said.
"""

import os

import grpc

# The name in the coordinator's certificate, whatever address it is reached by.
SERVER_NAME = "echelon-coordinator"
# A peer that has gone without a word is noticed within twice this.
KEEPALIVE_MS = 10_000
# As the coordinator bounds its messages: a rollout over some thousand hosts is more than the default of 4 MiB.
MESSAGE_BYTES_MAX = 8 << 20


def file(name):
    with open(os.environ[name], "rb") as content:
        return content.read()


def connect():
    """A `grpc.Channel`; KeyError when one of the variables is not there."""
    target = os.environ["ECHELON_COORDINATOR"].removeprefix("https://")
    credentials = grpc.ssl_channel_credentials(
        root_certificates=file("ECHELON_CA"),
        private_key=file("ECHELON_KEY"),
        certificate_chain=file("ECHELON_CERT"),
    )
    options = [
        ("grpc.ssl_target_name_override", SERVER_NAME),
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ]
    return grpc.secure_channel(target, credentials, options=options)
