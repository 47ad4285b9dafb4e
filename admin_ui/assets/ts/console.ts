// The console's script: htmx, and islands that each add one thing to pages that work without them.
//
// An island listens on the document (page.ts), so what htmx swaps in later works as what was there before.
// Nothing here has a rule of the box or a text that the server should say; nothing is evaluated, and no
// style stands in an attribute: the pages' policy forbids both.

import "./htmx";
import "./theme";
import "./dialogs";
import "./menus";
import "./confirm";
import "./busy";
import "./toasts";
import "./copy";
import "./live";
import "./counts";
import "./rows";
import "./palette";
import "./picks";
import "./charts";
import "./times";
import "./fields";
import "./reveal";
import "./passkeys";
