import type { ComponentChildren } from "preact";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";

import { getNamespace, signOut, whenRefused } from "./api";
import { approvals, useConnection } from "./events";
import { announce, errorText, useAnnouncements } from "./hooks";
import { Countdown, Empty, Loading, Notice } from "./parts/basics";
import { Icon, type IconName } from "./parts/icons";
import { useRoute, type Route } from "./router";
import {
  isOidcCallback,
  loadSession,
  offers,
  rememberedNamespace,
  renewSession,
  useNamespace,
  type Part,
  type Session,
} from "./session";
import { line } from "./text";
import { millis, serverNow } from "./time";
import { AgentPage, Agents } from "./views/agents";
import { BreakGlass } from "./views/break_glass";
import { Inbox } from "./views/inbox";
import { Incident, Operation } from "./views/incident";
import { LeasePageView, Leases } from "./views/leases";
import { RequestPage } from "./views/request";
import { SignIn } from "./views/sign_in";
import { TargetsPage } from "./views/targets";
import { Tasks } from "./views/tasks";

interface Place {
  id: string;
  text: string;
  icon: IconName;
  part?: Part;
}

// Groups, so that further places (access reviews, a search of the audit log) have theirs.
const places: { title: string; items: Place[] }[] = [
  {
    title: "Decide",
    items: [
      { id: "approvals", text: "Requests", icon: "inbox" },
      { id: "tasks", text: "Tasks", icon: "task" },
      { id: "break-glass", text: "Break glass", icon: "glass" },
    ],
  },
  {
    title: "Watch",
    items: [
      { id: "leases", text: "Leases", icon: "key", part: "leases" },
      { id: "agents", text: "Agents", icon: "robot", part: "agents" },
      { id: "targets", text: "Targets", icon: "database", part: "targets" },
    ],
  },
  {
    title: "Act",
    items: [{ id: "incident", text: "Incident", icon: "alarm", part: "incident" }],
  },
];

function View({ route }: { route: Route }) {
  const [place = "approvals", id] = route.parts;
  switch (place) {
    case "approvals": {
      if (id) return <RequestPage key={id} id={id} />;
      const tab = route.query.get("tab");
      return <Inbox tab={tab === "open" || tab === "decided" ? tab : "waiting"} />;
    }
    case "tasks":
      return <Tasks />;
    case "break-glass":
      return <BreakGlass />;
    case "leases":
      return id ? <LeasePageView key={id} id={id} /> : <Leases />;
    case "agents":
      return id ? <AgentPage key={id} name={id} /> : <Agents />;
    case "targets":
      return <TargetsPage />;
    case "incident":
      return id ? <Operation key={id} id={id} /> : <Incident />;
    default:
      return (
        <Empty title="There is no such page.">
          <a href="#/approvals">To the requests</a>
        </Empty>
      );
  }
}

function Navigation({ session, place }: { session: Session; place: string }) {
  return (
    <nav id="navigation" aria-label="Main">
      {places.map((group) => {
        const items = group.items.filter((item) => !item.part || offers(session, item.part));
        if (items.length === 0) return null;
        return (
          <div key={group.title} class="nav-group">
            <p class="nav-title" id={`nav-${group.title}`}>
              {group.title}
            </p>
            <ul aria-labelledby={`nav-${group.title}`}>
              {items.map((item) => (
                <li key={item.id}>
                  <a href={`#/${item.id}`} aria-current={item.id === place ? "page" : undefined}>
                    <Icon name={item.icon} />
                    {item.text}
                  </a>
                </li>
              ))}
            </ul>
          </div>
        );
      })}
    </nav>
  );
}

function ConnectionState() {
  const connection = useConnection();
  const before = useRef(connection);
  useEffect(() => {
    if (connection === "lost" && before.current !== "lost") announce("Connection lost.");
    if (connection === "live" && before.current === "lost") announce("Connected again.");
    before.current = connection;
  }, [connection]);
  if (connection !== "lost") return null;
  return (
    <section class="banner" aria-label="Connection" data-connection="lost">
      <Icon name="alarm" />
      <p>
        <strong>Connection lost.</strong> What you see may be out of date. Trying again …
      </p>
    </section>
  );
}

// Says so in time that the session ends, and offers to go on.
function SessionEnd({ session, onRenewed }: { session: Session; onRenewed: () => void }) {
  const [soon, setSoon] = useState(false);
  const [error, setError] = useState("");
  useEffect(() => {
    if (!session.expireTime) return;
    const look = () => setSoon(millis(session.expireTime) - serverNow() < 3 * 60_000);
    look();
    const timer = setInterval(look, 5000);
    return () => clearInterval(timer);
  }, [session.expireTime]);
  if (!soon || !session.expireTime) return null;
  return (
    <section class="banner quiet-banner" aria-label="Session time">
      <Icon name="clock" />
      <p>
        Your session ends in <Countdown to={session.expireTime} />. {line(error)}
      </p>
      {session.renewable && (
        <button
          type="button"
          onClick={() =>
            renewSession().then(onRenewed, (failure) => setError(errorText(failure)))
          }
        >
          Stay signed in
        </button>
      )}
    </section>
  );
}

function Shell(props: {
  session: Session;
  onSignOut: () => void;
  onRenewed: () => void;
  children: ComponentChildren;
  place: string;
}) {
  const { session } = props;
  const [menu, setMenu] = useState(false);
  useEffect(() => setMenu(false), [props.place]);
  useEffect(() => {
    if (!menu) return;
    const close = (event: KeyboardEvent) => {
      if (event.key !== "Escape") return;
      setMenu(false);
      document.getElementById("menu-button")?.focus();
    };
    addEventListener("keydown", close);
    return () => removeEventListener("keydown", close);
  }, [menu]);
  return (
    <div class={menu ? "shell menu-open" : "shell"}>
      <header class="top">
        <a class="brand" href="#/approvals">
          <span class="brand-mark">
            <Icon name="moon" />
          </span>
          Curfew
        </a>
        <button
          type="button"
          id="menu-button"
          class="menu-button"
          aria-expanded={menu}
          aria-controls="side"
          onClick={() => setMenu(!menu)}
        >
          <Icon name={menu ? "close" : "menu"} />
          Menu
        </button>
      </header>
      <div class="side" id="side">
        <Navigation session={session} place={props.place} />
        <section class="who" aria-label="Session">
          <p class="who-name">{line(session.displayName)}</p>
          {getNamespace() && <p class="quiet-text">Namespace {line(getNamespace())}</p>}
          <button type="button" onClick={props.onSignOut}>
            <Icon name="door" />
            Sign out
          </button>
        </section>
      </div>
      <div class="content">
        <ConnectionState />
        <SessionEnd session={session} onRenewed={props.onRenewed} />
        <main id="main">{props.children}</main>
      </div>
    </div>
  );
}

type Known = "loading" | "out" | "over" | "unreachable" | Session;

export function App() {
  const [known, setKnown] = useState<Known>("loading");
  const route = useRoute();
  const announcement = useAnnouncements();
  const signedIn = typeof known === "object";
  const place = route.parts[0] ?? "approvals";

  const look = useCallback(async () => {
    try {
      const session = await loadSession();
      setKnown((before) => session ?? (typeof before === "object" ? "over" : "out"));
    } catch {
      setKnown((before) => (typeof before === "object" ? before : "unreachable"));
    }
  }, []);

  useEffect(() => {
    useNamespace(rememberedNamespace());
    if (isOidcCallback()) setKnown("out");
    else void look();
  }, []);

  useEffect(() => {
    if (!signedIn) return;
    let asking = false;
    // A refusal may mean that the session is over; one question at a time.
    whenRefused(() => {
      if (asking) return;
      asking = true;
      void loadSession()
        .then((session) => {
          if (!session) setKnown("over");
        })
        .catch(() => {})
        .finally(() => {
          asking = false;
        });
    });
    const stop = approvals.start();
    return () => {
      whenRefused(() => {});
      stop();
    };
  }, [signedIn]);

  // A new page is read from its title on.
  const address = route.parts.join("/");
  const first = useRef(true);
  useEffect(() => {
    if (!signedIn) return;
    if (first.current) {
      first.current = false;
      return;
    }
    scrollTo(0, 0);
    document.getElementById("page-title")?.focus({ preventScroll: true });
  }, [address, signedIn]);

  const leave = async () => {
    try {
      await signOut();
    } catch {
      // The cookies may be gone already; what is left ends by its own time.
    }
    setKnown("out");
    announce("Signed out.");
  };

  return (
    <>
      <a
        class="skip"
        href="#main"
        onClick={(event) => {
          event.preventDefault();
          document.getElementById("page-title")?.focus();
        }}
      >
        Skip to the content
      </a>
      <p class="unseen" role="status" aria-live="polite" id="announcements">
        {announcement}
      </p>
      {known === "loading" && (
        <main id="main" class="sign-in">
          <Loading />
        </main>
      )}
      {known === "unreachable" && (
        <main id="main" class="sign-in">
          <Notice tone="bad" role="alert" title="The server cannot answer now.">
            It may be sealed, or out of reach.{" "}
            <button type="button" onClick={() => void look()}>
              Try again
            </button>
          </Notice>
        </main>
      )}
      {(known === "out" || known === "over") && (
        <SignIn over={known === "over"} onDone={() => void look()} />
      )}
      {typeof known === "object" && (
        <Shell
          session={known}
          place={place}
          onSignOut={() => void leave()}
          onRenewed={() => void look()}
        >
          <View route={route} />
        </Shell>
      )}
    </>
  );
}
