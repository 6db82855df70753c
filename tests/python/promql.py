"""Which labels a PromQL expression has, and what in it does not exist: as much of the language as alerts and dashboards use.

Prometheus itself takes any name: a query for a metric or a label that nobody serves is right and silent. So this follows labels
through an expression, from what docs/metrics.md says down to `by`, `on` and what is written into legends and annotations.
"""

import re

TOKEN = re.compile(
    r"""\s*(?:
        (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<duration>\[[0-9a-z$_]+(?::[0-9a-z]*)?\])
      | (?P<number>[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h|d|w|y)?)
      | (?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
      | (?P<sign>=~|!~|!=|==|>=|<=|[-+*/%^<>=(){},])
    )""",
    re.VERBOSE,
)
PRECEDENCE = [{"or"}, {"and", "unless"}, {"==", "!=", ">", "<", ">=", "<="}, {"+", "-"}, {"*", "/", "%"}, {"^"}]
AGGREGATORS = {"sum", "min", "max", "avg", "count", "group", "topk", "bottomk", "stddev", "quantile"}
ONE_VECTOR = {"rate", "increase", "abs", "last_over_time", "max_over_time", "min_over_time", "changes", "sort", "sort_desc", "floor"}
SCALAR = None


class Wrong(Exception):
    """What in an expression does not exist, or does not fit."""


def tokens(text):
    at, text = 0, re.sub(r"#.*", "", text).strip()
    while at < len(text):
        found = TOKEN.match(text, at)
        if not found:
            raise Wrong(f"cannot read {text[at:at + 30]!r}")
        yield found.lastgroup, found[found.lastgroup]
        at = found.end()
    yield "end", ""


class Parser:
    """Follows labels; `metrics` has the labels of each metric. Raises Wrong."""

    def __init__(self, text, metrics, look_at_matcher=lambda metric, label, value: None):
        self.tokens = list(tokens(text))
        self.at = 0
        self.metrics = metrics
        self.look_at_matcher = look_at_matcher
        self.used = set()

    def labels(self):
        """Of what the whole expression yields; SCALAR for a number."""
        found = self.binary(0)
        if self.kind != "end":
            raise Wrong(f"does not end at {self.text!r}")
        return found

    @property
    def kind(self):
        return self.tokens[self.at][0]

    @property
    def text(self):
        return self.tokens[self.at][1]

    def take(self, text=None):
        found = self.text
        if text is not None and found != text:
            raise Wrong(f"{text!r} is wanted where {found!r} is")
        self.at += 1
        return found

    def takes(self, *texts):
        if self.kind != "string" and self.text in texts:
            return self.take()
        return None

    def names(self):
        self.take("(")
        found = []
        while not self.takes(")"):
            found.append(self.take())
            self.takes(",")
        return set(found)

    def binary(self, level):
        if level == len(PRECEDENCE):
            return self.unary()
        left = self.binary(level + 1)
        while operator := self.takes(*PRECEDENCE[level]):
            self.takes("bool")
            on = extra = None
            if self.takes("on"):
                on = self.names()
                if self.takes("group_left"):
                    extra = self.names() if self.text == "(" else set()
            right = self.binary(level + 1)
            left = self.joined(operator, left, right, on, extra)
        return left

    @staticmethod
    def joined(operator, left, right, on, extra):
        sets = operator in ("and", "or", "unless")
        if left is SCALAR or right is SCALAR:
            if sets:
                raise Wrong(f"{operator} with a number")
            return right if left is SCALAR else left
        if on is None and left != right and not (operator == "or" and not right):
            raise Wrong(f"{sorted(left)} {operator} {sorted(right)}: never match without on (…)")
        if on is not None and not on <= left & right:
            raise Wrong(f"on ({', '.join(sorted(on - (left & right)))}) is not on both sides of {operator}")
        if sets or on is None:
            return left
        if extra is None:
            return on if operator in "+-*/%^" else left
        if not extra <= right:
            raise Wrong(f"group_left takes {sorted(extra - right)}, which is not there")
        return left | extra

    def unary(self):
        if self.takes("-", "+"):
            return self.unary()
        if self.takes("("):
            found = self.binary(0)
            self.take(")")
        elif self.kind in ("number", "string"):
            self.take()
            found = SCALAR
        elif self.kind == "name" and self.tokens[self.at + 1][1] in ("(", "by", "without") and self.text not in self.metrics:
            found = self.called(self.take())
        else:
            found = self.selector()
        while True:
            if self.kind == "duration":
                self.take()
            elif self.takes("offset"):
                self.take()
            else:
                return found

    def selector(self):
        if self.kind != "name":
            raise Wrong(f"unexpected {self.text!r}")
        metric = self.take()
        if metric not in self.metrics:
            raise Wrong(f"there is no metric {metric}")
        self.used.add(metric)
        labels = self.metrics[metric]
        if self.takes("{"):
            while not self.takes("}"):
                label = self.take()
                if label not in labels:
                    raise Wrong(f"{metric} has no label {label}")
                if self.takes("=", "=~", "!=", "!~") is None:
                    raise Wrong(f"no matcher at {self.text!r}")
                self.look_at_matcher(metric, label, self.take()[1:-1])
                self.takes(",")
        return set(labels)

    def arguments(self):
        """What each argument is: its labels, or the text of a string."""
        self.take("(")
        found = []
        while not self.takes(")"):
            found.append(self.take()[1:-1] if self.kind == "string" else self.binary(0))
            self.takes(",")
        return found

    def called(self, name):
        if name in AGGREGATORS:
            by = self.names() if self.takes("by") else None
            inner = self.arguments()[-1]
            if self.takes("by"):
                by = self.names()
            if inner is SCALAR:
                raise Wrong(f"{name} of a number")
            if by and not by <= inner:
                raise Wrong(f"{name} by ({', '.join(sorted(by - inner))}): that label is not there")
            return by or set()
        given = self.arguments()
        if name in ("time", "scalar"):
            return SCALAR
        if name == "vector":
            return set()
        if name == "absent":
            return set()
        if name == "label_replace":
            vector, target, _, source, _ = given
            if source not in vector:
                raise Wrong(f"label_replace reads {source}, which is not there")
            return vector | {target}
        if name == "histogram_quantile":
            if "le" not in given[1]:
                raise Wrong("histogram_quantile without le")
            return given[1] - {"le"}
        if name in ONE_VECTOR:
            return given[-1]
        raise Wrong(f"there is no function {name}")


def documented(page):
    """Of a page like docs/metrics.md: each metric's labels, and the words in its row."""
    labels, words = {}, {}
    for name, kind, has, what in re.findall(r"^\| `(\w+)` \| (\w+) \|(.*?)\| (.*) \|$", page, re.MULTILINE):
        of = {"fleet", "daemon", *re.findall(r"`(\w+)`", has)}
        words[name] = set(re.findall(r"`([^`]+)`", what))
        if kind == "histogram":
            labels |= {f"{name}_bucket": of | {"le"}, f"{name}_sum": of, f"{name}_count": of}
            words[f"{name}_bucket"] = words[name]
        else:
            labels[name] = of
    return labels, words
