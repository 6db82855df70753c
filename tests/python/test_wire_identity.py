"""Drives the simulated STS and IAM with boto3, as a stranger would.

The endpoint is taken from AWS_ENDPOINT_URL (see examples/wire.rs).
"""

import json
import os
import unittest
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = os.environ["AWS_ENDPOINT_URL"]
ACCOUNT = "123456789012"
# The access key that a daemon in a Region has here; faults name callers by their Region.
DAEMON = "failoverd.us-west-2"


def turn(action, **arguments):
    """Breaks or heals something."""
    body = json.dumps({"action": action, **arguments}).encode()
    headers = {"content-type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(f"{ENDPOINT}/_sim/faults", data=body, headers=headers)).close()


def client(service, key="AKIASTRANGER", secret="secret", token=None):
    return boto3.client(
        service, region_name="us-west-2", endpoint_url=ENDPOINT, aws_access_key_id=key, aws_secret_access_key=secret,
        aws_session_token=token, config=Config(retries={"total_max_attempts": 1}, read_timeout=10),
    )


class IdentityTest(unittest.TestCase):
    def refused(self, code, call, status=403, **arguments):
        with self.assertRaises(ClientError) as refusal:
            call(**arguments)
        answer = refusal.exception.response
        found = (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"])
        self.assertEqual(found, (code, status), answer)
        return answer["Error"]["Message"]

    def test_whoever_asks_is_told_who_they_are(self):
        stranger = client("sts").get_caller_identity()
        self.assertEqual((stranger["Account"], stranger["Arn"]), (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/AKIASTRANGER"))
        daemon = client("sts", DAEMON).get_caller_identity()
        self.assertEqual(daemon["Arn"], f"arn:aws:sts::{ACCOUNT}:assumed-role/failoverd/us-west-2")

    def test_a_role_is_assumed_and_its_credentials_work(self):
        role = f"arn:aws:iam::{ACCOUNT}:role/shop"
        assumed = client("sts", DAEMON).assume_role(RoleArn=role, RoleSessionName="a-session")
        self.assertEqual(assumed["AssumedRoleUser"]["Arn"], f"arn:aws:sts::{ACCOUNT}:assumed-role/shop/a-session")
        given = assumed["Credentials"]
        self.assertGreater(given["Expiration"].year, 2000)
        as_role = client("sts", given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
        self.assertIn("assumed-role/shop/", as_role.get_caller_identity()["Arn"])
        tables = boto3.client(
            "dynamodb", region_name="us-west-2", endpoint_url=ENDPOINT, aws_access_key_id=given["AccessKeyId"],
            aws_secret_access_key=given["SecretAccessKey"], aws_session_token=given["SessionToken"],
        )
        self.assertIn("TableNames", tables.list_tables())

    def test_what_is_no_role_is_refused(self):
        sts = client("sts")
        role = f"arn:aws:iam::{ACCOUNT}:user/shop"
        words = self.refused("ValidationError", sts.assume_role, status=400, RoleArn=role, RoleSessionName="a-session")
        self.assertIn(role, words)

    def test_a_denied_action_is_denied_and_simulated_as_such(self):
        iam, table = client("iam", DAEMON), f"arn:aws:dynamodb:us-west-2:{ACCOUNT}:table/orders"
        role = iam.get_role(RoleName="failoverd")["Role"]["Arn"]
        self.assertEqual(role, f"arn:aws:iam::{ACCOUNT}:role/failoverd")
        actions = ["dynamodb:ListTables", "dynamodb:UpdateTable"]

        def decisions():
            answer = iam.simulate_principal_policy(PolicySourceArn=role, ActionNames=actions, ResourceArns=[table])
            return {one["EvalActionName"]: one["EvalDecision"] for one in answer["EvaluationResults"]}

        self.assertEqual(decisions(), dict.fromkeys(actions, "allowed"))
        turn("deny", caller="us-west-2", iam_action="dynamodb:ListTables", on=True)
        try:
            self.assertEqual(decisions(), {actions[0]: "explicitDeny", actions[1]: "allowed"})
            words = self.refused("AccessDeniedException", client("dynamodb", DAEMON).list_tables, status=400)
            self.assertIn("dynamodb:ListTables", words)
            client("dynamodb").list_tables()
        finally:
            turn("deny", caller="us-west-2", iam_action="dynamodb:ListTables", on=False)

    def test_credentials_end(self):
        turn("expire_credentials", caller="us-west-2", on=True)
        try:
            self.refused("ExpiredToken", client("s3", DAEMON).list_buckets, status=400)
            self.refused("ExpiredTokenException", client("dynamodb", DAEMON).list_tables, status=400)
        finally:
            turn("expire_credentials", caller="us-west-2", on=False)
        client("s3", DAEMON).list_buckets()


if __name__ == "__main__":
    unittest.main()
