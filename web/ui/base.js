// What every script of ours shares: the namespace, copying, times that stay fresh, keys, and asking before a deletion.
// Loaded as a plain script in the head, so that it is there before Gradio draws its first component.
window.wb = (() => {
  "use strict";

  // Gradio takes the page by the path of the address, of which several pages may stand at one (by_kind.py): the server
  // says which it sent. This runs before Gradio's own scripts, which are deferred.
  document.addEventListener("readystatechange", () => {
    const config = window.gradio_config, path = location.pathname.slice(1);
    if (config?.page?.[path] && config.current_page?.startsWith(`${path}-`)) config.page[path] = config.page[config.current_page];
  }, {once: true});

  // A session that ended while the page was open: to the sign-in, and from there back. Elsewhere nobody signs in.
  const door = document.querySelector('meta[name="wb-sign-in"]')?.content, fetched = window.fetch;
  const signIn = () => {
    if (door) location.assign(`${door}?next=${encodeURIComponent(location.pathname + location.search)}`);
    return !!door;
  };
  if (door) window.fetch = async (...asked) => {
    const answer = await fetched(...asked);
    if (answer.status === 401) signIn();
    return answer;
  };

  const address = () => new URLSearchParams(location.search).get("job") || "";

  // One key for one content: a double click sends the same key twice, and the store makes one job of it.
  let sent = "", key = "";
  const keyFor = (...content) => {
    const text = JSON.stringify(content);
    if (text !== sent) { sent = text; key = newKey(); }
    return key;
  };
  const forgetKey = () => { sent = ""; };
  const newKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map(b => b.toString(16).padStart(2, "0")).join("");

  const copied = async (button, text) => {
    const label = button.textContent;
    try { await navigator.clipboard.writeText(text); button.textContent = "Copied"; }
    catch { button.textContent = copyByHand(text) ? "Copied" : "Not allowed to copy"; }  // no clipboard without https
    setTimeout(() => { button.textContent = label; }, 1500);
  };
  const copyByHand = text => {
    const box = Object.assign(document.createElement("textarea"), {value: text});
    document.body.append(box); box.select();
    const done = document.execCommand("copy"); box.remove(); return done;
  };

  const UNITS = [[86400 * 365, "year"], [86400 * 30, "month"], [86400, "day"], [3600, "hour"], [60, "minute"]];
  const ago = at => {
    const age = Date.now() / 1000 - at;
    if (age < 45) return "just now";
    const [size, name] = UNITS.find(([size]) => age >= size * 0.9) || UNITS.at(-1);
    const n = Math.max(1, Math.round(age / size));
    return n === 1 && name === "day" ? "yesterday" : `${n} ${name}${n === 1 ? "" : "s"} ago`;
  };
  const freshen = root => {
    for (const time of root.querySelectorAll("time[data-ago]")) set(time, ago(+time.dataset.ago));
    for (const time of root.querySelectorAll("time[data-clock]"))
      set(time, new Date(time.dataset.clock * 1000).toLocaleTimeString([], {hour12: false}));
  };
  const set = (element, text) => { if (element.textContent !== text) element.textContent = text; };
  setInterval(() => freshen(document), 10_000);

  // Swap one fragment. The server has escaped what is in it; it is swapped only where it has changed.
  const swap = (root, name, html) => {
    const place = root.querySelector(`[data-part="${name}"]`);
    if (!place || place.wbHtml === html || place.querySelector("form[data-dirty]")) return null;  // never over what is typed
    const held = place.contains(document.activeElement) ? document.activeElement : null;
    const name_of = held && (held.name || held.dataset.do);
    place.wbHtml = html; place.innerHTML = html; place.hidden = !html;
    freshen(place);
    if (name_of) place.querySelector(`[name="${name_of}"],[data-do="${name_of}"]`)?.focus();
    return place;
  };

  document.addEventListener("click", event => {
    const button = event.target.closest("[data-copy],[data-copy-link]");
    if (button) copied(button, button.dataset.copy ?? location.origin + button.dataset.copyLink);
  });
  document.addEventListener("keydown", event => {
    if (event.repeat) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) click("#send", event);
    if (event.key === "Escape" && !event.defaultPrevented) click("[data-esc]:not(:disabled)", event);
    if (event.key === "/" && !event.target.closest("input,textarea,select,[contenteditable]")) {
      const search = document.querySelector("[data-search]");
      if (search && search.offsetParent) { event.preventDefault(); search.focus(); search.select(); }
    }
  });
  const click = (selector, event) => {
    const found = document.querySelector(selector);
    if (found) { event.preventDefault(); found.click(); }
  };
  document.addEventListener("input", event => event.target.closest("[data-about]")?.setAttribute("data-dirty", ""));
  addEventListener("popstate", () => location.reload());  // form and view come from the address

  return {address, signIn, keyFor, forgetKey, copied, freshen, swap};
})();
