// A notice when a long job of one's own has ended, on whatever page one is. Once for each job, across tabs and reloads.
(() => {
  "use strict";
  const KEY = "wb-told", MOST_KEPT = 200, MOST_SHOWN = 3, LOCK = "wb-notices";
  const WORDS = {succeeded: "is done", failed: "has failed"};
  let ended = [], box = null;

  const told = () => { try { return JSON.parse(localStorage.getItem(KEY)) || []; } catch { return []; } };
  const tell = ids => { try { localStorage.setItem(KEY, JSON.stringify([...told(), ...ids].slice(-MOST_KEPT))); } catch { /* told again after a reload, then */ } };
  // Two tabs that hear of it in the same moment must not both say so.
  const alone = act => navigator.locks ? navigator.locks.request(LOCK, act) : act();

  const place = () => {
    box ??= Object.assign(document.createElement("div"), {className: "wb wb-notices"});
    box.setAttribute("role", "status"); box.setAttribute("aria-live", "polite"); box.setAttribute("aria-label", "Notices");
    if (!box.isConnected) document.body.append(box);
    return box;
  };
  const show = job => {
    const made = document.createElement("div"), link = document.createElement("a"), head = document.createElement("b"), close = document.createElement("button");
    made.className = `notice${job.state === "failed" ? " bad" : ""}`; made.dataset.notice = job.id;
    link.href = `/runs?job=${encodeURIComponent(job.id)}`;
    head.textContent = `${job.kind} ${WORDS[job.state] || "has ended"}`;
    link.append(head, job.name);
    close.type = "button"; close.className = "t"; close.textContent = "✕"; close.setAttribute("aria-label", `Put away: ${job.name}`);
    close.onclick = () => made.remove();
    made.append(link, close);
    place().append(made);
    while (box.children.length > MOST_SHOWN) box.firstChild.remove();
  };
  // A tab that nobody looks at leaves the word to the one that is looked at, or says it once it is.
  const say = () => {
    if (document.visibilityState !== "visible" || !ended.length) return;
    alone(() => {
      const known = new Set(told()), fresh = ended.filter(job => !known.has(job.id));
      if (!fresh.length) return;
      tell(fresh.map(job => job.id));
      fresh.filter(job => job.id !== wb.address()).reverse().forEach(show);  // who looks at the job sees that it has ended
    });
  };
  document.addEventListener("visibilitychange", say);
  wb.notices = jobs => { place(); ended = jobs; say(); };  // the place first: a reader must know it before it is filled
})();
