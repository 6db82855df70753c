"""Drives the simulated STS and IAM with boto3, as a stranger would."""

import unittest

import boto3

from stranger import ACCOUNT, ENDPOINT, WireTest, client, turn

REGION = "us-west-2"
# The access key that a daemon in a Region has here; faults name callers by their Region.
DAEMON = "failoverd.us-west-2"


class IdentityTest(WireTest):
    def test_whoever_asks_is_told_who_they_are(self):
        stranger = client("sts", REGION).get_caller_identity()
        self.assertEqual((stranger["Account"], stranger["Arn"]), (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/AKIASTRANGER"))
        daemon = client("sts", REGION, DAEMON).get_caller_identity()
        self.assertEqual(daemon["Arn"], f"arn:aws:sts::{ACCOUNT}:assumed-role/failoverd/us-west-2")

    def test_a_role_is_assumed_and_its_credentials_work(self):
        role = f"arn:aws:iam::{ACCOUNT}:role/shop"
        assumed = client("sts", REGION, DAEMON).assume_role(RoleArn=role, RoleSessionName="a-session")
        self.assertEqual(assumed["AssumedRoleUser"]["Arn"], f"arn:aws:sts::{ACCOUNT}:assumed-role/shop/a-session")
        given = assumed["Credentials"]
        self.assertGreater(given["Expiration"].year, 2000)
        as_role = client("sts", REGION, given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
        self.assertIn("assumed-role/shop/", as_role.get_caller_identity()["Arn"])
        tables = boto3.client(
            "dynamodb", region_name="us-west-2", endpoint_url=ENDPOINT, aws_access_key_id=given["AccessKeyId"],
            aws_secret_access_key=given["SecretAccessKey"], aws_session_token=given["SessionToken"],
        )
        self.assertIn("TableNames", tables.list_tables())

    def test_what_is_no_role_is_refused(self):
        sts = client("sts", REGION)
        role = f"arn:aws:iam::{ACCOUNT}:user/shop"
        words = self.refused("ValidationError", sts.assume_role, status=400, RoleArn=role, RoleSessionName="a-session")
        self.assertIn(role, words)

    def test_a_denied_action_is_denied_and_simulated_as_such(self):
        iam, table = client("iam", REGION, DAEMON), f"arn:aws:dynamodb:us-west-2:{ACCOUNT}:table/orders"
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
            words = self.refused("AccessDeniedException", client("dynamodb", REGION, DAEMON).list_tables, status=400)
            self.assertIn("dynamodb:ListTables", words)
            client("dynamodb", REGION).list_tables()
        finally:
            turn("deny", caller="us-west-2", iam_action="dynamodb:ListTables", on=False)

    def test_credentials_end(self):
        turn("expire_credentials", caller="us-west-2", on=True)
        try:
            self.refused("ExpiredToken", client("s3", REGION, DAEMON).list_buckets, status=400)
            self.refused("ExpiredTokenException", client("dynamodb", REGION, DAEMON).list_tables, status=400)
        finally:
            turn("expire_credentials", caller="us-west-2", on=False)
        client("s3", REGION, DAEMON).list_buckets()


if __name__ == "__main__":
    unittest.main()
