// Requests to the server. A request without a reply is sent again: the server stores an answer once.

const PAUSES = [500, 1000, 2000, 4000, 8000]; // ms before each further attempt
let token = "";

export class Refused extends Error {
  constructor(status, detail) {
    super(typeof detail === "string" ? detail : "The server refused this.");
    this.status = status;
  }
}

async function attempt(path, options) {
  const reply = await fetch(path, { credentials: "same-origin", ...options });
  if (reply.status >= 500) throw new TypeError(`status ${reply.status}`);
  const content = reply.status === 204 ? null : await reply.json();
  if (!reply.ok) throw new Refused(reply.status, content.detail);
  return content;
}

async function persist(path, options) {
  for (const pause of [...PAUSES, null]) {
    try {
      return await attempt(path, options);
    } catch (error) {
      if (error instanceof Refused || pause === null) throw error;
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
}

export async function state() {
  const found = await persist("/api/state", {});
  token = found.csrf;
  return found;
}

export function post(path, body) {
  const headers = { "Content-Type": "application/json", "X-CSRF-Token": token };
  return persist(path, { method: "POST", headers, body: JSON.stringify(body) });
}
