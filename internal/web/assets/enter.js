// The first script that runs: it signs in and asks for the events while the rest of the page
// is still on its way.

import * as api from "./api.js";

// What happened before somebody showed it waits here.
let waiting = [];
let shown = null;
const tell = (name) => (arg) => (shown ? shown[name](arg) : waiting.push([name, arg]));
const handlers = { history: tell("history"), status: tell("status"), lost: tell("lost") };

// show has events go to {history, status, lost}, those that came already first.
export function show(to) {
  shown = to;
  for (const [name, arg] of waiting.splice(0)) to[name](arg);
}

// A token in the fragment never reaches a server; it becomes a cookie, and leaves the address.
async function session() {
  const token = /^#([^/].{15,})$/.exec(location.hash)?.[1];
  let wrong = "";
  if (token) {
    history.replaceState(null, "", location.pathname);
    try {
      return { me: await api.login(decodeURIComponent(token)) };
    } catch (err) {
      wrong = err.status === 401 ? "The token in that address is not this daemon's." : err.message;
    }
  }
  try {
    return { me: await api.session() };
  } catch {
    return { me: null, wrong };
  }
}

// enter gives {me, wrong}: what the session may do, null where there is none, and why a token was refused.
export async function enter() {
  const entered = await session();
  if (entered.me) api.live(handlers);
  return entered;
}

export const entered = enter();
