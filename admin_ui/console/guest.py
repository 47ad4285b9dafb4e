"""Guest: one request of somebody who is nobody yet: signing in, links that came by mail.

Guarded as the API's sign-in is (admin_ui/api/own.py): what another site's page sends is refused, and one client
asks so often and not more. A session's word is not there to be had, and not needed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from admin_ui.api.own import client_of, session_cookie
from admin_ui.console.form import Form
from admin_ui.console.guard import form_of
from admin_ui.console.visit import (
    NO_PROBLEM,
    TOAST,
    Problem,
    Toast,
    html,
    safe_path,
    theme_of,
    toast_cookie,
    toasts_of,
)

if TYPE_CHECKING:
    from admin_ui.console.stage import Stage
    from admin_ui.rooms import Rooms
    from appliance.people import Client, Opened


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """Who asks, and with which form."""

    rooms: Rooms
    stage: Stage
    request: Request[Any, Any, Any]
    form: Form = field(default_factory=Form)

    @property
    def client(self) -> Client:
        """Where the request comes from."""
        return client_of(self.request)

    @property
    def next(self) -> str:
        """Where they wanted to go: a page of this box."""
        said = self.form.said("next") or str(self.request.query_params.get("next", ""))
        return safe_path(said, default="/")

    async def page(
        self, template: str, *, status: int = 200, problem: Problem = NO_PROBLEM, **context: Any
    ) -> Response[bytes]:
        """A page; with a problem its form is shown again."""
        toasts = toasts_of(self.request)
        text = self.stage.render(
            template,
            guest=self,
            toasts=toasts,
            problem=problem,
            form=self.form,
            box=self.rooms.people.options.box_name,
            theme=theme_of(self.request),
            **context,
        )
        answer = html(self.request, text, 422 if problem.words and status == 200 else status)
        if toasts:
            answer.delete_cookie(TOAST)
        return answer

    def to(
        self, where: str, title: str = "", text: str = "", *, kind: str = "success"
    ) -> Response[bytes]:
        """Answer a form."""
        cookies = [toast_cookie(Toast(kind=kind, title=title, text=text))] if title else []
        return Response(b"", status_code=303, headers={"Location": where}, cookies=cookies)

    def enter(self, opened: Opened, where: str = "") -> Response[bytes]:
        """They are somebody now."""
        answer = self.to(where or self.next)
        answer.cookies.append(session_cookie(self.rooms, opened))
        return answer


AGuest: TypeAlias = NamedDependency[SkipValidation[Guest]]
"""What a handler asks for."""


async def guest_of(request: Request[Any, Any, Any]) -> Guest:
    """For handlers: who asks. Raises UsageError for a form that cannot be read."""
    state = request.app.state
    form = await form_of(request) if request.method == "POST" else Form()
    return Guest(rooms=state.rooms, stage=state.stage, request=request, form=form)
