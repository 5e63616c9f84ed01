// Keeps an open page fresh: looks for news and replaces the parts that are marked data-live. Without it nothing is
// missing but the news. What somebody is using (focus, an open form, a selection) is left alone.
"use strict";

(() => {
  const LONGEST_MS = 60000;
  const every = Number(document.body.dataset.refresh);
  const sign = document.getElementById("live");
  if (!(every > 0) || !sign || !document.querySelector("[data-live]")) return;
  let tag = "";
  let wait = every;
  let timer = 0;

  const say = (words, away) => {
    sign.hidden = false;
    sign.classList.toggle("away", away);
    if (sign.textContent !== words) sign.textContent = words;
  };

  const inUse = (part) => {
    const selection = document.getSelection();
    const selected = selection && !selection.isCollapsed && selection.containsNode(part, true);
    const field = document.activeElement && document.activeElement.closest("input, select, button, summary");
    return selected || part.querySelector("details[open] form") || (field && part.contains(field));
  };

  const replace = (part, fresh) => {
    const focused = part.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    part.replaceWith(fresh);
    if (focused === null) return;
    const again = [...fresh.querySelectorAll("a")].find((link) => link.getAttribute("href") === focused);
    if (again) again.focus({ preventScroll: true });
  };

  const apply = (text) => {
    const news = new DOMParser().parseFromString(text, "text/html");
    for (const part of document.querySelectorAll("[data-live]")) {
      const fresh = news.getElementById(part.id);
      if (fresh && !part.isEqualNode(fresh) && !inUse(part)) replace(part, document.importNode(fresh, true));
    }
    document.title = news.title;
  };

  const look = async () => {
    try {
      const headers = tag ? { "X-Live": "1", "If-None-Match": tag } : { "X-Live": "1" };
      const place = location.pathname + location.search;
      const answer = await fetch(place, { headers, cache: "no-store", credentials: "same-origin" });
      if (answer.status === 401) {
        say("Signed out. Load the page again.", true);
        return;
      }
      if (answer.status !== 304) {
        if (!answer.ok) throw new Error(String(answer.status));
        apply(await answer.text());
        tag = answer.headers.get("ETag") || "";
      }
      wait = every;
      say("Live", false);
    } catch {
      wait = Math.min(2 * wait, LONGEST_MS);
      say("Not live: the hub does not answer", true);
    }
    timer = setTimeout(tick, wait);
  };

  const tick = () => {
    timer = 0;
    if (!document.hidden) look();
  };

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && !timer) tick();
  });
  timer = setTimeout(tick, every);
})();
