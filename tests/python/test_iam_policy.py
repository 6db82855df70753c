"""Lints the IAM policies that failoverctl prints, with a linter that nobody here wrote (PyPI: parliament).

The documents are kept true by a test of the domain (`cargo test -p failoverd-domain iam`): own.json is for the daemons'
own role, role.json for a role in another account that a manifest names, region.json for one Region alone.
"""

import json
import pathlib
import unittest

from parliament import analyze_policy_string

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "domain" / "src" / "iam" / "golden"


def documents():
    return {path.name: path.read_text() for path in sorted(GOLDEN.glob("*.json"))}


class IamPolicyTest(unittest.TestCase):
    def test_every_policy_is_there(self):
        self.assertEqual(list(documents()), ["own.json", "region.json", "role.json"])

    def test_the_linter_finds_nothing_to_complain_about(self):
        for name, text in documents().items():
            with self.subTest(name):
                findings = analyze_policy_string(text, include_community_auditors=False).findings
                self.assertEqual([str(finding) for finding in findings], [])

    def test_the_linter_would_find_what_does_not_fit(self):
        wrong = json.loads(documents()["own.json"])
        wrong["Statement"][0]["Action"] = ["rds:FailoverGlobalClusters"]
        wrong["Statement"][1]["Resource"] = ["arn:aws:s3:::bucket"]
        findings = analyze_policy_string(json.dumps(wrong)).findings
        self.assertGreaterEqual(len(findings), 2, findings)

    def test_a_star_stands_only_where_aws_knows_no_resource(self):
        for name, text in documents().items():
            for statement in json.loads(text)["Statement"]:
                with self.subTest(name, sid=statement["Sid"]):
                    if "*" in statement["Resource"]:
                        self.assertTrue(statement["Sid"].endswith("KnowsNoResource"), statement)

    def test_nothing_deletes_data(self):
        allowed = {"route53:DeleteHealthCheck", "dynamodb:DeleteItem"}
        for name, text in documents().items():
            for statement in json.loads(text)["Statement"]:
                deletes = {action for action in statement["Action"] if ":Delete" in action}
                self.assertLessEqual(deletes, allowed, name)


if __name__ == "__main__":
    unittest.main()
