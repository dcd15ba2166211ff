"""bosh/openapi.json against the truth: the route tables in bosh/*.c, and every answer that the tests get (the part of JSON Schema that the file uses)."""
import glob
import json
import os
import re

BOSH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bosh")
with open(os.path.join(BOSH, "openapi.json"), encoding="utf-8") as f:
    DOC = json.load(f)
TYPES = {"string": str, "boolean": bool, "integer": int, "object": dict, "array": list, "null": type(None)}
ROW = re.compile(r'\{\s*"([A-Z]+)",\s*"(/api/v1/[^"]+)",\s*(ROUTE_TOKEN|ROUTE_OPEN)\s*,[^}]*?(?:\.scope = SCOPE_(\w+))?\s*\}', re.S)
seen = set()


def routes_of_code():
    found = set()
    for name in glob.glob(os.path.join(BOSH, "*.c")):
        with open(name, encoding="utf-8") as f:
            for method, path, auth, scope in ROW.findall(f.read()):
                found.add((method, path, auth == "ROUTE_OPEN", scope.lower().replace("_", "-")))
    return found


def described():
    return {(method.upper(), path, op["security"] == [], (op["security"] or [{"token": []}])[0]["token"][0] if op["security"] and op["security"][0]["token"] else "")
            for path, ops in DOC["paths"].items() for method, op in ops.items()}


def is_a(value, name):
    return isinstance(value, TYPES[name]) and not (name == "integer" and isinstance(value, bool))


def fits(value, schema, at="answer"):
    """None, or what does not fit."""
    if "$ref" in schema:
        return fits(value, DOC["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]], at)
    if "anyOf" in schema:
        wrong = [fits(value, s, at) for s in schema["anyOf"]]
        return None if None in wrong else wrong[0]
    types = schema.get("type", list(TYPES))
    if not any(is_a(value, t) for t in ([types] if isinstance(types, str) else types)):
        return "%s is %r, not %s" % (at, value, types)
    if "enum" in schema and value not in schema["enum"]:
        return "%s is %r, not one of %s" % (at, value, schema["enum"])
    if isinstance(value, list) and "items" in schema:
        return next((w for i, v in enumerate(value) for w in [fits(v, schema["items"], "%s[%d]" % (at, i))] if w), None)
    if isinstance(value, dict) and "properties" in schema:
        missing = set(schema["required"]) - set(value)
        further = set(value) - set(schema["properties"])
        if missing or further:
            return "%s lacks %s, has besides %s" % (at, sorted(missing), sorted(further))
        return next((w for k, v in value.items() for w in [fits(v, schema["properties"][k], at + "." + k)] if w), None)
    return None


def template_of(path):
    path = path.partition("?")[0]
    fitting = [t for t in DOC["paths"] if re.fullmatch(re.sub(r"\\{\w+\\}|\{\w+\}", "[^/]+", t.replace(".", r"\.")), path)]
    return min(fitting, key=lambda t: t.count("{")) if fitting else None


def check(method, path, status, value):
    """Fails when the answer is not what the description promises."""
    template = template_of(path)
    assert template and method.lower() in DOC["paths"][template], "%s %s is not described" % (method, path)
    op = DOC["paths"][template][method.lower()]
    assert status >= 400 or str(status) in op["responses"], "%s %s answers %d" % (method, template, status)
    response = op["responses"].get(str(status), op["responses"]["default"])
    if status < 400 and method != "HEAD":
        seen.add((method, template))
    if "content" not in response:
        assert value is None, "%s %s answers %r" % (method, template, value)
        return
    wrong = fits(value, response["content"]["application/json"]["schema"])
    assert not wrong, "%s %s %d: %s" % (method, template, status, wrong)
