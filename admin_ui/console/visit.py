"""Visit: one request of somebody who is signed in, and how a page answers it.

    return await visit.page("suppressions.html", rows=rows)
    return visit.to("/suppressions", "Suppressed", "ada@example.net is not written to any more")

A form is answered with 303, so that no reload sends it twice; what has come of it stands on the next page as
a toast (in a cookie of a minute, shown once). A page renders with 422 when a field of its form is wrong.
"""

from __future__ import annotations

import gzip
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from litestar import Request, Response
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from admin_ui.console.form import Form
from admin_ui.console.nav import current_of, groups_of, tabs_of
from appliance.core.errors import PillarboxError, UsageError

if TYPE_CHECKING:
    from admin_ui.api.own import Own
    from admin_ui.console.stage import Stage
    from admin_ui.console.waits import Waits
    from admin_ui.rooms import Rooms
    from appliance.core.scope import Scope
    from appliance.operations import KillStatus
    from appliance.rights import Actor, Right
    from appliance.tenancy import TenantRecord

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
TOAST: Final = "pillarbox_toast"
THEME: Final = "pillarbox_theme"
THEMES: Final = ("dark", "light")
_TOAST_SECONDS: Final = 60
_MOST_WORDS: Final = 500  # of a toast: a cookie holds 4,096 octets
_WORTH: Final = 1400  # octets that fit into one packet are not worth packing


@dataclass(frozen=True, slots=True, kw_only=True)
class Toast:
    """What has just come of something."""

    kind: str  # success | error
    title: str
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is wrong with a form, and where."""

    words: str
    field: str = ""
    dialog: str = ""  # the dialog that the form stands in: opened again

    @classmethod
    def of(cls, error: PillarboxError, dialog: str = "") -> Problem:
        """An error of a room, as a page shows it."""
        named = error.field if isinstance(error, UsageError) else ""
        return cls(words=str(error), field=named, dialog=dialog)


NO_PROBLEM: Final = Problem(words="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Who asks what, from which page of the console."""

    own: Own
    rooms: Rooms
    stage: Stage
    request: Request[Any, Any, Any]
    form: Form = field(default_factory=Form)
    mark: str = ""  # of the live stream, from before anything was read

    @property
    def actor(self) -> Actor:
        """On whose behalf."""
        return self.own.seen.actor

    @property
    def scope(self) -> Scope:
        """Whose rows are seen."""
        return self.own.seen.actor.scope

    @property
    def is_box(self) -> bool:
        """Whether the whole box is seen, not one tenant."""
        return self.scope.is_system

    @property
    def path(self) -> str:
        """Of the page."""
        return self.request.url.path

    @property
    def here(self) -> str:
        """Path and query, to come back to."""
        query = self.request.url.query
        return f"{self.path}?{query}" if query else self.path

    @property
    def view(self) -> str:
        """Whose view a form was made in: a form of another one is refused (guard.py)."""
        return str(self.own.seen.tenant_id)

    @property
    def csrf(self) -> str:
        """The session's own word, in every form."""
        return self.own.seen.csrf

    def may(self, right: Right | str) -> bool:
        """Whether to show what needs a right: "domains.manage"."""
        return right in self.actor.rights

    async def page(
        self, template: str, *, status: int = 200, problem: Problem = NO_PROBLEM, **context: Any
    ) -> Response[bytes]:
        """A page in the shell. With a problem its form is shown again, and the status is 422."""
        shell = await self._shell()
        toasts = () if self.is_part else toasts_of(self.request)
        text = self.stage.render(
            template,
            visit=self,
            shell=shell,
            toasts=toasts,
            problem=problem,
            form=self.form,
            theme=theme_of(self.request),
            mark=self.mark,
            **context,
        )
        answer = html(self.request, text, 422 if problem.words and status == 200 else status)
        if toasts:
            answer.delete_cookie(TOAST)
        return answer

    @property
    def is_part(self) -> bool:
        """Whether a script asks for a part of the page; it takes what it needs from the whole."""
        return "hx-request" in self.request.headers

    def to(
        self, where: str, title: str = "", text: str = "", *, kind: str = "success"
    ) -> Response[bytes]:
        """Answer a form: what has come of it is told on the next page."""
        cookies = [toast_cookie(Toast(kind=kind, title=title, text=text))] if title else []
        return Response(b"", status_code=303, headers={"Location": where}, cookies=cookies)

    def back(self, default: str) -> str:
        """The page that a form came from."""
        return safe_path(self.form.said("back"), default=default)

    def refused(self, error: PillarboxError, title: str = "Not done") -> Response[bytes]:
        """Answer a button that could not do it: back to its page, which says why."""
        back = safe_path(self.form.said("back"), default="/")
        return self.to(back, title, str(error), kind="error")

    async def _shell(self) -> Shell:
        tenant = None
        if not self.is_box and self.scope.tenant_id is not None:
            tenant = await self.rooms.tenants.by_id(self.scope, self.scope.tenant_id)
        groups = groups_of(self.actor)
        stop = await self.rooms.operations.kill_status()
        return Shell(
            box=self.rooms.people.options.box_name,
            tenant=tenant,
            stop=stop,
            waits=await self.stage.waits.now(self.rooms) if stop.is_on and self.is_box else None,
            groups=groups,
            tabs=tabs_of(groups, is_box=self.is_box),
            current=current_of(groups, self.path),
        )


WhoVisits: TypeAlias = NamedDependency[SkipValidation[Visit]]
"""What a handler asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """What stands around every page."""

    box: str
    tenant: TenantRecord | None  # None: the whole box
    stop: KillStatus
    waits: Waits | None  # while it is on, for who sees the whole box
    groups: Any
    tabs: Any
    current: str  # path of the place in the side bar

    @property
    def scope_name(self) -> str:
        """What the scope switcher and the breadcrumb say."""
        return self.tenant.name if self.tenant else self.box


def with_form(visit: Visit, form: Form) -> Visit:
    """The visit, once its form has been read."""
    return replace(visit, form=form)


def html(request: Request[Any, Any, Any], text: str, status: int = 200) -> Response[bytes]:
    """A page, packed when the browser takes that."""
    content, headers = text.encode(), {"Content-Security-Policy": POLICY}
    if len(content) > _WORTH and "gzip" in request.headers.get("accept-encoding", ""):
        content = gzip.compress(content, 5, mtime=0)
        headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    return Response(
        content, status_code=status, media_type="text/html; charset=utf-8", headers=headers
    )


def safe_path(said: str, *, default: str) -> str:
    r"""A page of this box and of no other: "/domains?x=1", never "//evil.example" or "/\\evil.example"."""
    is_ours = (
        said.startswith("/")
        and said[1:2] not in ("/", "\\")
        and said.isprintable()
        and "\\" not in said
        and len(said) < 2000
    )
    return said if is_ours else default


def theme_of(request: Request[Any, Any, Any]) -> str:
    """What somebody chose; "" follows the machine."""
    said = request.cookies.get(THEME, "")
    return said if said in THEMES else ""


def toasts_of(request: Request[Any, Any, Any]) -> tuple[Toast, ...]:
    """What the last form has come to."""
    said = request.cookies.get(TOAST, "")
    try:
        kind, title, text = (
            json.loads(urlsafe_b64decode(said.encode("ascii"))) if said else ("",) * 3
        )
    except ValueError:
        return ()
    known = kind in ("success", "error") and isinstance(title, str) and isinstance(text, str)
    return (Toast(kind=kind, title=title, text=text),) if known else ()


def toast_cookie(toast: Toast) -> Cookie:
    """What the next page tells."""
    text = toast.text if len(toast.text) <= _MOST_WORDS else toast.text[:_MOST_WORDS] + "..."
    value = json.dumps([toast.kind, toast.title[:200], text])
    return Cookie(
        TOAST,
        value=urlsafe_b64encode(value.encode()).decode(),
        path="/",
        max_age=_TOAST_SECONDS,
        httponly=True,
        samesite="lax",
    )
