// Stream: one EventSource for all tabs of a browser, since it opens six connections to a host and no more.
//
// The visible tabs ask for a lock; who has it leads: holds the stream and passes on to the others, by
// BroadcastChannel, what comes. A tab that is hidden or left gives the lock back and hears nothing, and
// another visible one goes on. Browsers without locks (plain HTTP) have a stream for each visible tab.
//
// A stream that ends is opened again, and says up to where it had heard (?since=, the id of the last event
// that had one): it is told what it missed. One that breaks is opened after 1 to 15 s, each time later, never
// all browsers at once, and `all` is told then, for what pages asked meanwhile got no answer; and with every
// failure, so that pages without a stream still look now and then, and find out that a session has ended.
// A network may go away without a word: a stream that has not even given a sign of life for SILENCE is over.
// A tab that has just come is told what the leader heard in the last seconds: it may have happened after its
// page was made.

export interface Listener {
  happened(topic: string, data: unknown): void;
  changed(isOn: boolean): void;
}

type Word =
  | { kind: "event"; topic: string; data: unknown; since: string }
  | { kind: "state"; isOn: boolean }
  | { kind: "ask" };

const LEAST = 1000;
const LONGEST = 15_000;
const STEADY = 5000; // a stream that lived so long was well
const SILENCE = 40_000; // the box gives a sign of life each 15 s (admin_ui/console/live.py)
const FRESH = 5000; // a page so young shows what is true, and what was heard for so long is told to it

export class Stream {
  #channel: BroadcastChannel | null = null;
  #waiting: AbortController | null = null;
  #release: (() => void) | null = null;
  #source: EventSource | null = null;
  #timer = 0;
  #silence = 0;
  #tries = 0;
  #isOn: boolean | null = null;
  #wasOpen = false;
  #since = "";
  readonly #heard = new Map<string, number>(); // topic, when

  constructor(
    readonly url: string,
    readonly topics: readonly string[],
    readonly listener: Listener,
  ) {}

  /** Hear, and lead when nobody does. */
  start(): void {
    if (this.#channel) return;
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.onmessage = ({ data }: MessageEvent<Word>) => this.#hear(data);
    if ("locks" in navigator) this.#queue();
    else this.#open();
    this.#send({ kind: "ask" });
  }

  /** Hear nothing and lead no more. */
  stop(): void {
    this.#waiting?.abort();
    this.#close();
    this.#release?.();
    this.#channel?.close();
    this.#waiting = this.#release = this.#channel = null;
  }

  /** Perhaps nobody is there any more: whoever leads asks anew. */
  doubt(): void {
    if (!this.#source) return;
    this.#tries = 0;
    this.#again(0);
  }

  get #name(): string {
    return `pillarbox ${this.url.split("?")[0]}`;
  }

  #queue(): void {
    const waiting = (this.#waiting = new AbortController());
    const hold = () =>
      new Promise<void>((resolve) => {
        if (waiting.signal.aborted) return resolve();
        this.#release = resolve;
        this.#open();
      });
    navigator.locks.request(this.#name, { signal: waiting.signal }, hold).catch(() => undefined);
  }

  #hear(word: Word): void {
    if (word.kind === "event") {
      this.#since = word.since;
      this.listener.happened(word.topic, word.data);
    } else if (word.kind === "state") this.listener.changed(word.isOn);
    else if (this.#isLeader) this.#welcome();
  }

  get #isLeader(): boolean {
    return this.#source !== null || this.#timer !== 0;
  }

  #welcome(): void {
    if (this.#isOn !== null) this.#send({ kind: "state", isOn: this.#isOn });
    for (const [topic, at] of this.#heard) {
      if (performance.now() - at < FRESH) this.#send({ kind: "event", topic, data: null, since: this.#since });
    }
  }

  #send(word: Word): void {
    this.#channel?.postMessage(word);
  }

  #tell(topic: string, data: unknown): void {
    this.#heard.set(topic, performance.now());
    this.#send({ kind: "event", topic, data, since: this.#since });
    this.listener.happened(topic, data);
  }

  #set(isOn: boolean): void {
    this.#isOn = isOn;
    this.#send({ kind: "state", isOn });
    this.listener.changed(isOn);
  }

  #open(): void {
    this.#timer = 0;
    const url = new URL(this.url, location.href);
    if (this.#since) url.searchParams.set("since", this.#since);
    const source = (this.#source = new EventSource(url));
    const opened = { at: 0 };
    source.onopen = () => {
      opened.at = performance.now();
      this.#listen();
      const isSure = this.#since || (!this.#wasOpen && opened.at < FRESH);
      if (this.#isOn === false || !isSure) this.#tell("all", null);
      this.#wasOpen = true;
      this.#set(true);
    };
    source.onerror = () => this.#again(opened.at);
    source.addEventListener("hello", (event) => (this.#since = event.lastEventId || this.#since));
    source.addEventListener("beat", () => this.#listen());
    source.addEventListener("bye", () => this.#drain());
    for (const topic of this.topics) {
      source.addEventListener(topic, (event) => {
        this.#listen();
        this.#since = event.lastEventId || this.#since;
        this.#tell(topic, parse(event.data));
      });
    }
  }

  /** It is alive, for a while. */
  #listen(): void {
    clearTimeout(this.#silence);
    this.#silence = window.setTimeout(() => this.doubt(), SILENCE);
  }

  #close(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#silence);
    this.#source?.close();
    this.#source = null;
    this.#timer = 0;
  }

  #again(openedAt: number): void {
    this.#close();
    this.#set(false);
    if (!openedAt) this.#tell("all", null);
    else if (performance.now() - openedAt > STEADY) this.#tries = 0;
    const longest = Math.min(LONGEST, LEAST * 2 ** this.#tries);
    this.#tries += 1;
    this.#later(Math.max(LEAST, longest * (0.5 + Math.random() / 2)));
  }

  /** The box says that it ends the stream, and is there again soon. */
  #drain(): void {
    this.#close();
    this.#later(LEAST / 2 + Math.random() * LEAST);
  }

  #later(ms: number): void {
    this.#timer = window.setTimeout(() => this.#open(), ms);
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
