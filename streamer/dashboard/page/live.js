// The websocket: says what the page wants to see, hands on what it is told, and comes back when it breaks.

const FIRST_WAIT_MS = 400;
const LONGEST_WAIT_MS = 5000;
const SILENT_MS = 15000; // it is told something every second, if the dashboard has a processor

export class Live {
  constructor(hear, changed) {
    this.hear = hear;
    this.changed = changed; // called with whether it is open, and why not
    this.wanted = null;
    this.isOpen = false;
    this.waitMs = FIRST_WAIT_MS;
    this.heardAt = 0;
    this.socket = null;
    this.connect();
    setInterval(() => {
      if (!this.isOpen || document.hidden) return;
      if (this.silentS() * 1000 > SILENT_MS) this.socket.close();
      else this.changed(true, "");
    }, 1000);
    addEventListener("online", () => this.connect());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) { this.heardAt = performance.now(); this.connect(); }
    });
  }

  // For how long nothing has been heard, though somebody is there.
  silentS() {
    return (performance.now() - this.heardAt) / 1000;
  }

  ask(content) {
    this.wanted = content;
    if (this.isOpen) this.socket.send(JSON.stringify(content));
  }

  send(content) {
    if (this.isOpen) this.socket.send(JSON.stringify(content));
  }

  connect() {
    if (this.socket && this.socket.readyState <= WebSocket.OPEN) return;
    const address = new URL("live/now", location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    address.hash = "";
    address.search = "";
    const socket = new WebSocket(address);
    this.socket = socket;
    socket.addEventListener("open", () => {
      this.isOpen = true;
      this.waitMs = FIRST_WAIT_MS;
      this.heardAt = performance.now();
      this.changed(true, "");
      if (this.wanted) socket.send(JSON.stringify(this.wanted));
    });
    socket.addEventListener("message", (event) => {
      this.heardAt = performance.now();
      this.hear(JSON.parse(event.data));
    });
    socket.addEventListener("close", (event) => {
      this.isOpen = false;
      this.changed(false, event.reason);
      setTimeout(() => this.connect(), this.waitMs);
      this.waitMs = Math.min(this.waitMs * 1.7, LONGEST_WAIT_MS);
    });
  }
}
