"""What every suite that drives the simulated AWS with boto3 needs: clients, faults, refusals, bounded waits.

The endpoint is taken from AWS_ENDPOINT_URL (see examples/wire.rs). Every wait is for a condition, with a bound.
"""

import json
import os
import time
import unittest
import urllib.request
import uuid

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = os.environ["AWS_ENDPOINT_URL"]
ACCOUNT = "123456789012"
BOUND_S = float(os.environ.get("SIM_WAIT_S", "60"))


def settings(key="AKIASTRANGER", secret="secret", token=None, **config):
    """Of clients that ask once: a refusal is not tried again."""
    config.setdefault("read_timeout", 10)
    return {
        "endpoint_url": config.pop("endpoint_url", ENDPOINT),
        "aws_access_key_id": key,
        "aws_secret_access_key": secret,
        "aws_session_token": token,
        "config": Config(retries={"total_max_attempts": 1}, connect_timeout=5, **config),
    }


def client(service, region, key="AKIASTRANGER", secret="secret", token=None, session=boto3, **config):
    return session.client(service, region_name=region, **settings(key, secret, token, **config))


def turn(action, **arguments):
    """Breaks or heals something."""
    body = json.dumps({"action": action, **arguments}).encode()
    headers = {"content-type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(f"{ENDPOINT}/_sim/faults", data=body, headers=headers)).close()


def named(prefix):
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


class WireTest(unittest.TestCase):
    def refused(self, code, call, status=400, **arguments):
        with self.assertRaises(ClientError) as refusal:
            call(**arguments)
        answer = refusal.exception.response
        found = (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"])
        self.assertEqual(found, (code, status), answer)
        self.assertTrue(answer["ResponseMetadata"]["RequestId"])
        return answer["Error"].get("Message", "")

    def until(self, what, look):
        began = time.monotonic()
        while not (found := look()):
            self.assertLess(time.monotonic() - began, BOUND_S, what)
            time.sleep(0.05)
        return found
