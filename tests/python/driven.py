"""Runs one suite of unittest and writes down which operations of AWS it called.

Usage: driven.py SUITE CALLS: a line `SERVICE OPERATION` for each goes to the file CALLS.
"""

import sys
import unittest

import boto3


def main(suite, calls):
    called = set()
    boto3.setup_default_session()

    def note(model, **_):
        called.add((model.service_model.service_name, model.name))

    boto3.DEFAULT_SESSION.events.register("before-call", note)
    ran = unittest.main(module=suite, argv=[suite], exit=False).result
    with open(calls, "w") as file:
        file.writelines(f"{service} {operation}\n" for service, operation in sorted(called))
    sys.exit(0 if ran.wasSuccessful() and ran.testsRun else 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
