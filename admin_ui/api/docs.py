"""GET /api/docs: the description of the API for people, as one page that loads nothing from anywhere.

Made from the same document as /api/openapi.json, at the first question, and kept. No script; one style, which
the page's own Content-Security-Policy names by its hash. Light or dark as the reader's machine has it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shlex
from html import escape
from typing import TYPE_CHECKING, Any, Final

from litestar import Request, Response, get

from admin_ui.api.guard import PUBLIC
from admin_ui.api.openapi import document

if TYPE_CHECKING:
    from collections.abc import Iterator

_BASE: Final = "/api/v1"
_METHODS: Final = ("get", "post", "put", "patch", "delete")
_NAMED: Final = re.compile(r"\{(\w+)\}")
_STYLE: Final = """
:root{color-scheme:light dark;--bg:#fff;--card:#f6f8fa;--text:#111827;--muted:#4b5563;--line:#d1d5db;
--accent:#1d4ed8;--get:#166534;--post:#1d4ed8;--put:#92400e;--delete:#b91c1c}
@media (prefers-color-scheme:dark){:root{--bg:#0f172a;--card:#1e293b;--text:#f1f5f9;--muted:#b3c0d1;
--line:#475569;--accent:#93c5fd;--get:#86efac;--post:#93c5fd;--put:#fcd34d;--delete:#fca5a5}}
*{box-sizing:border-box}html{scroll-padding-top:1rem}
body{margin:0;background:var(--bg);color:var(--text);font:16px/1.5 system-ui,sans-serif}
a{color:var(--accent)}a:focus-visible,pre:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
.page{display:grid;grid-template-columns:17rem minmax(0,1fr);max-width:80rem;margin:0 auto}
nav{position:sticky;top:0;align-self:start;max-height:100vh;overflow:auto;padding:1.5rem 1rem;
border-right:1px solid var(--line);font-size:14px}
nav ul{list-style:none;margin:0 0 1rem;padding:0}nav li a{display:block;padding:.3rem 0;text-decoration:none}
nav strong{text-transform:capitalize}
main{padding:1.5rem 2rem;min-width:0}h1{font-size:28px}h2{font-size:20px;text-transform:capitalize;margin-top:3rem}
h3{font-size:16px;margin:0 0 .5rem}article{border-top:1px solid var(--line);padding:1.5rem 0}
.where{font:600 14px/1.5 ui-monospace,monospace;overflow-wrap:anywhere}.muted{color:var(--muted);font-size:14px}
.get{color:var(--get)}.post{color:var(--post)}.put,.patch{color:var(--put)}.delete{color:var(--delete)}
pre{background:var(--card);border:1px solid var(--line);border-radius:6px;padding:.75rem 1rem;overflow:auto;
font:13px/1.5 ui-monospace,monospace;margin:.25rem 0 1rem}
.scroll{overflow:auto}table{border-collapse:collapse;font-size:14px;margin-bottom:1rem}
th,td{text-align:left;vertical-align:top;padding:.35rem 1rem .35rem 0;border-bottom:1px solid var(--line)}
code{font:13px/1.5 ui-monospace,monospace}
@media (max-width:50rem){.page{display:block}nav{position:static;max-height:45vh;border:0;
border-bottom:1px solid var(--line)}main{padding:1rem}nav li a{padding:.65rem 0}}
"""
_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)
_INTRODUCTION: Final = """
<p>Every request carries an API key: <code>Authorization: Bearer pbk_...</code>. Make one with
<code>pillarbox key create</code>, in the console, or with <a href="#post-keys">POST /keys</a>. The examples take
the key from <code>$KEY</code> and the address of the box from <code>$BOX</code>, such as
<code>https://box.example.org</code>.</p>
<p>Times are ISO 8601 in UTC. A list answers at most 100 rows; its <code>cursor</code> leads on, and is empty at the
end. What is wrong is told as <code>application/problem+json</code> (RFC 9457): <code>detail</code> in words, and
<code>errors</code> with the fields. Whoever asks too often gets 429 with <code>Retry-After</code>;
<code>RateLimit-Limit</code>, <code>-Remaining</code> and <code>-Reset</code> say how far that is.</p>
<p>The same for programs, as OpenAPI 3.1: <a href="/api/openapi.json">/api/openapi.json</a>.</p>
"""


@get("/api/docs", opt={PUBLIC: True}, include_in_schema=False)
async def docs(request: Request[Any, Any, Any]) -> Response[str]:
    """The page; made at the first question and kept."""
    state = request.app.state
    if not hasattr(state, "docs"):
        state.docs = page_of(document(request.app))
    headers = {"Content-Security-Policy": POLICY}
    return Response(state.docs, media_type="text/html; charset=utf-8", headers=headers)


def page_of(described: dict[str, Any]) -> str:
    """The whole page."""
    groups: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for path, operations in described["paths"].items():
        for method in _METHODS:
            if method in operations:
                one = _with_choices(operations[method], described["components"]["schemas"])
                tag = one.get("tags", ["other"])[0]
                groups.setdefault(tag, []).append((method, path, one))
    return "".join(_html(groups))


def _with_choices(one: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """With the parameters' own schemas in place of references to them."""
    parameters = [
        each
        | {
            "schema": schemas.get(each["schema"].get("$ref", "").rpartition("/")[2], {})
            | each["schema"]
        }
        for each in one.get("parameters", [])
    ]
    return one | {"parameters": parameters}


def _html(groups: dict[str, list[tuple[str, str, dict[str, Any]]]]) -> Iterator[str]:
    yield '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width,initial-scale=1">'
    yield f"<title>Pillarbox HTTP API</title><style>{_STYLE}</style></head><body>"
    yield '<div class="page"><nav aria-label="Operations">'
    for tag, operations in groups.items():
        yield f"<strong>{escape(tag)}</strong><ul>"
        for method, path, one in operations:
            yield f'<li><a href="#{_anchor(method, path)}">{escape(one.get("summary", path))}</a></li>'
        yield "</ul>"
    yield f"</nav><main><h1>HTTP API</h1>{_INTRODUCTION}"
    for tag, operations in groups.items():
        yield f"<section><h2>{escape(tag)}</h2>"
        for method, path, one in operations:
            yield from _operation(method, path, one)
        yield "</section>"
    yield "</main></div></body></html>\n"


def _operation(method: str, path: str, one: dict[str, Any]) -> Iterator[str]:
    request, answer = _example(one.get("requestBody")), _answer(one)
    yield f'<article id="{_anchor(method, path)}"><h3>{escape(one.get("summary", ""))}</h3>'
    yield f'<p class="where"><span class="{method}">{method.upper()}</span> {escape(path)}</p>'
    yield f"<p>{escape(one.get('description', ''))}</p>"
    right = one.get("x-right")
    yield f'<p class="muted">Right: <code>{escape(right)}</code></p>' if right else ""
    yield from _parameters(one.get("parameters", []))
    yield f"<pre tabindex=0>{escape(_curl(method, path, one))}</pre>"
    if request is not None:
        yield f'<p class="muted">Request</p><pre tabindex=0>{escape(_pretty(request))}</pre>'
    if answer is not None:
        yield f'<p class="muted">Answer</p><pre tabindex=0>{escape(_pretty(answer))}</pre>'
    yield "</article>"


def _parameters(parameters: list[dict[str, Any]]) -> Iterator[str]:
    if not parameters:
        return
    yield '<div class="scroll"><table><thead><tr><th>Parameter</th><th>In</th><th>What</th></tr>'
    yield "</thead><tbody>"
    for one in parameters:
        words = "; ".join(
            filter(None, (one.get("description", "").rstrip("."), _bounds(one["schema"])))
        )
        needed = " (needed)" if one.get("required") else ""
        yield f"<tr><td><code>{escape(one['name'])}</code>{needed}</td>"
        yield f"<td>{escape(one['in'])}</td><td>{escape(words)}</td></tr>"
    yield "</tbody></table></div>"


def _bounds(schema: dict[str, Any]) -> str:
    """Type, choices and bounds in a few words."""
    if "enum" in schema:
        return "one of " + ", ".join(str(each) for each in schema["enum"] if each is not None)
    kind = schema.get("type", "")
    words = [" or ".join(kind) if isinstance(kind, list) else str(kind)]
    if "maximum" in schema and schema["maximum"] < 1e9:
        words.append(f"{schema.get('minimum', 0):g} to {schema['maximum']:g}")
    if schema.get("default") not in (None, ""):
        words.append(f"usually {json.dumps(schema['default'])}")
    return ", ".join(filter(None, words))


def _curl(method: str, path: str, one: dict[str, Any]) -> str:
    """A line to copy."""
    request = _example(one.get("requestBody"))
    words = ["curl"] if method == "get" else ["curl", "-X", method.upper()]
    words += [f'"$BOX{_filled(path, one)}"', '-H "Authorization: Bearer $KEY"']
    if request is not None:
        told = shlex.quote(json.dumps(request, ensure_ascii=False))
        words += ['-H "Content-Type: application/json"', "-d", told]
    return " ".join(words)


def _filled(path: str, one: dict[str, Any]) -> str:
    """The path with the names of the example, where it has them, and the query that it needs."""
    answer, parameters = _answer(one), one.get("parameters", [])
    rows = answer.get("items", [answer]) if isinstance(answer, dict) else []
    row = rows[0] if rows and isinstance(rows[0], dict) else {}
    words = {each["name"]: _word(each, row) for each in parameters}
    needed = [each["name"] for each in parameters if each["in"] == "query" and each["required"]]
    query = "&".join(f"{name}={words[name]}" for name in needed)
    filled = _NAMED.sub(lambda found: words.get(found[1], found[1].upper()), path)
    return f"{filled}?{query}" if query else filled


def _word(parameter: dict[str, Any], row: dict[str, Any]) -> str:
    name, choices = parameter["name"], parameter["schema"].get("enum")
    known = [row.get(name), choices[0] if choices else None]
    if parameter["in"] == "path":
        known.append(row.get("id"))
    return next((str(one) for one in known if isinstance(one, str | int)), name.upper())


def _answer(one: dict[str, Any]) -> Any:
    good = (each for status, each in one["responses"].items() if status.startswith("2"))
    return _example(next(good, None))


def _example(part: dict[str, Any] | None) -> Any:
    content = (part or {}).get("content", {})
    return next((media["example"] for media in content.values() if "example" in media), None)


def _pretty(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def _anchor(method: str, path: str) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", path.removeprefix(_BASE).lower()).strip("-")
    return f"{method}-{words}"
