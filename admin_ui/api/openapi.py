"""GET /api/openapi.json: the description of the API (OpenAPI 3.1), with an example for every operation.

Litestar makes it from the handlers; this adds what it cannot know: the examples (opt["example"]), how one
says who one is, what errors look like, and the bodies of handlers that read theirs in rows. It is made once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from litestar import Litestar, Request, Response, get

from admin_ui.api.guard import PUBLIC, RIGHT

if TYPE_CHECKING:
    from litestar.handlers import HTTPRouteHandler

    from admin_ui.api.shapes import Example

EXAMPLE: Final = "example"
BODY: Final = "body"  # opt: the type that describes the body, where a handler reads it itself
PROBLEM: Final = {
    "type": "object",
    "description": "What is wrong (RFC 9457).",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "detail"],
                "properties": {"field": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}
_REFERENCE: Final = "#/components/schemas/{name}"
SCHEMES: Final = {
    "key": {"type": "http", "scheme": "bearer", "description": "An API key: pbk_..."},
    "session": {"type": "apiKey", "in": "cookie", "name": "pillarbox"},
}


def document(app: Litestar) -> dict[str, Any]:
    """The whole description as JSON's values."""
    made: dict[str, Any] = app.openapi_schema.to_schema()
    components = made.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = PROBLEM
    components["securitySchemes"] = SCHEMES
    for handler, path in _operations(app):
        for method in handler.http_methods:
            operation = made["paths"][path][method.lower()]
            if BODY in handler.opt:
                _describe_body(operation, components["schemas"], handler.opt[BODY])
            _complete(operation, handler)
    return made


def _operations(app: Litestar) -> list[tuple[HTTPRouteHandler, str]]:
    return [
        (handler, route.path_format)
        for route in app.routes
        for handler in getattr(route, "route_handlers", ())
        if EXAMPLE in handler.opt
    ]


def _describe_body(operation: dict[str, Any], schemas: dict[str, Any], body: type) -> None:
    (schema,), found = msgspec.json.schema_components([body], ref_template=_REFERENCE)
    for name, one in found.items():
        schemas.setdefault(name, one)
    content = {"application/json": {"schema": schema}}
    operation["requestBody"] = {"required": True, "content": content}


def _complete(operation: dict[str, Any], handler: HTTPRouteHandler) -> None:
    example: Example = handler.opt[EXAMPLE]
    if example.request is not None:
        body = operation.get("requestBody", {}).get("content", {})
        for media in body.values():
            media["example"] = example.request
    for status, answer in operation["responses"].items():
        if status.startswith("2"):
            for media in answer.get("content", {}).values():
                media["example"] = example.answer
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    operation["responses"]["default"] = {"description": "What is wrong.", "content": problem}
    operation["responses"].pop("400", None)  # Litestar's own shape
    if handler.opt.get(PUBLIC):
        operation["security"] = []
    else:
        operation["security"] = [{"key": []}, {"session": []}]
        operation["x-right"] = str(handler.opt[RIGHT])


@get("/api/openapi.json", opt={PUBLIC: True}, include_in_schema=False)
async def openapi(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The description; made at the first question and kept."""
    state = request.app.state
    if not hasattr(state, "openapi"):
        state.openapi = msgspec.json.encode(document(request.app))
    return Response(state.openapi, media_type="application/json")
