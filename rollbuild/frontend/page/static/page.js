"use strict";
(() => {
  const main = document.getElementById("main");
  const asOf = document.getElementById("asof");
  const version = document.documentElement.dataset.version;
  const SECONDS = 3, MOST = 30;
  const two = (number) => String(number).padStart(2, "0");
  const clock = (date) => `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;

  const ago = (seconds) => {
    if (seconds < 0) return "";
    if (seconds < 90) return `${Math.floor(seconds)} s ago`;
    if (seconds < 5400) return `${Math.floor(seconds / 60)} min ago`;
    if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ago`;
    return `${Math.floor(seconds / 86400)} days ago`;
  };
  // Without this script a page shows the clock; how long ago is what one wants to know.
  const tellTimes = () => {
    for (const time of main.querySelectorAll("time")) {
      const text = ago((Date.now() - Date.parse(time.dateTime)) / 1000);
      time.dataset.clock ??= time.textContent;
      if (text && time.textContent !== text) {
        time.textContent = text;
        time.title = time.dataset.clock;
      }
    }
  };
  const say = (text, state) => {
    asOf.textContent = text;
    asOf.className = `asof ${state}`;
    // Read out when the front end is gone, not every few seconds while it is there.
    asOf.setAttribute("aria-live", state === "lost" ? "polite" : "off");
  };

  // The clock's text in a row is ours, so two elements are equal when they are so without it.
  const bare = (element) => {
    const copy = element.cloneNode(true);
    for (const time of [copy, ...copy.querySelectorAll("time")]) {
      if (time.dataset && time.dataset.clock !== undefined) {
        time.textContent = time.dataset.clock;
        time.removeAttribute("data-clock");
        time.removeAttribute("title");
      }
    }
    for (const part of [copy, ...copy.querySelectorAll("details")]) part.removeAttribute("open");
    return copy.outerHTML;
  };
  const isKeyed = (element) => element.children.length > 0 && [...element.children].every((child) => child.id);

  // Makes `old` what `fresh` is, and leaves alone what is the same: the focus, what is open, what is selected.
  const follow = (old, fresh) => {
    if (bare(old) === bare(fresh)) return;
    const same = old.tagName === fresh.tagName && old.id === fresh.id;
    const children = [...fresh.children];
    if (same && isKeyed(old) && isKeyed(fresh)) {
      const before = new Map([...old.children].map((child) => [child.id, child]));
      children.forEach((child, index) => {
        const known = before.get(child.id);
        before.delete(child.id);
        const place = old.children[index] ?? null;
        if (!known) old.insertBefore(child, place);
        else {
          if (known !== place) old.insertBefore(known, place);
          follow(known, child);
        }
      });
      for (const gone of before.values()) gone.remove();
      return;
    }
    const alike = same && children.length === old.children.length && children.length > 0 &&
      children.every((child, index) => child.tagName === old.children[index].tagName) && old.tagName !== "TR" &&
      ![...fresh.childNodes, ...old.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (alike) {
      const wasOpen = old.open;
      for (const {name, value} of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
      if (old.tagName === "DETAILS") old.open = wasOpen;
      children.forEach((child, index) => follow(old.children[index], child));
      return;
    }
    const active = document.activeElement;
    const link = old.contains(active) ? active.getAttribute("href") : null;
    for (const part of fresh.querySelectorAll("details[id]")) {
      const twin = document.getElementById(part.id);
      if (twin) part.open = twin.open;
    }
    old.replaceWith(fresh);
    if (link) [...fresh.querySelectorAll("a")].find((each) => each.getAttribute("href") === link)?.focus();
  };

  let tag = "", failures = 0, timer = 0, lostSince = null;
  const again = () => {
    clearTimeout(timer);
    // Those who look on at a front end that comes back must not all come at once.
    const seconds = Math.min(MOST, SECONDS * 2 ** Math.min(failures, 4)) * (failures ? 0.7 + Math.random() * 0.6 : 1);
    timer = setTimeout(look, seconds * 1000);
  };
  const look = async () => {
    if (document.hidden) return;
    try {
      const headers = tag ? {"If-None-Match": tag} : {};
      const stop = AbortSignal.timeout(20000);
      const answer = await fetch(location.href, {headers, cache: "no-store", signal: stop});
      if (answer.status === 200) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        if (page.documentElement.dataset.version !== version) return location.reload();
        // What is being typed into a form stays.
        for (const input of page.querySelectorAll("input[id]")) {
          const own = document.getElementById(input.id);
          if (own === document.activeElement) input.setAttribute("value", own.getAttribute("value") ?? "");
        }
        const fresh = page.getElementById("main");
        if (fresh) follow(main, document.adoptNode(fresh));
        tag = answer.headers.get("ETag") ?? "";
      } else if (answer.status === 404) {
        return location.reload();
      } else if (answer.status !== 304) {
        throw new Error(String(answer.status));
      }
      failures = 0;
      lostSince = null;
      say(`live, ${clock(new Date())}`, "live");
    } catch {
      failures += 1;
      lostSince ??= clock(new Date());
      say(`no answer since ${lostSince}; trying again`, "lost");
    }
    tellTimes();
    again();
  };

  tellTimes();
  if (main.dataset.live !== undefined) {
    document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
    look();
  }
})();
