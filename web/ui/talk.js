// The Playground's conversation: earlier turns as fragments, the answer live, and what one does to either.
(() => {
  "use strict";

  wb.talk = (element, props, watch, trigger) => {
    const root = element.querySelector(".talk"), thread = root.querySelector("[data-thread]");
    const find = name => root.querySelector(`[${name}]`);
    let view = null;

    const isAtEnd = () => innerHeight + scrollY >= document.documentElement.scrollHeight - 160;
    const follow = job => {
      view?.close();
      for (const part of root.querySelectorAll("[data-part]")) { part.innerHTML = part.wbHtml = ""; }
      thread.hidden = !job;
      find("data-new").hidden = !job;
      find("data-tools").hidden = true;
      find("data-raw").setAttribute("aria-pressed", "false");
      view = job ? wb.follow(root, job, {
        painted: () => { if (isAtEnd()) keepEndInView(); },
        changed: now => { thread.dataset.state = now.state; },
        ended: now => { find("data-tools").hidden = !now.text; wb.refreshCommand?.(); },
        gone: () => { thread.hidden = true; props.trouble = ""; location.replace("/?gone=" + encodeURIComponent(job)); },
      }) : null;
    };
    const keepEndInView = () => scrollTo({top: document.documentElement.scrollHeight});

    watch("value", () => {
      const {job, go} = props.value || {};
      if (go) location.assign(go);
      if (!job || (view && view.job === job)) return;
      wb.forgetKey();
      if (wb.address() !== job) history.pushState(null, "", `/?job=${job}`);
      follow(job);
      wb.refreshCommand();
      requestAnimationFrame(() => root.querySelector(".turn.assistant[data-answer]").scrollIntoView({block: "nearest"}));
    });
    root.addEventListener("click", event => {
      if (event.target.closest("[data-again]")) trigger("regenerate", {job: view.job, key: wb.keyFor("again", view.job)});
      const edit = event.target.closest("[data-edit]");
      if (edit) editTurn(edit.closest(".turn"), (index, text) =>
        trigger("edit", {job: view.job, index, text, key: wb.keyFor("edit", view.job, index, text)}));
    });
    wb.actions(root, () => view, trigger);
    if (wb.address()) follow(wb.address());
  };

  // What the page was opened with: read once, when Python fills the form.
  wb.opened = () => {
    const query = new URLSearchParams(location.search);
    return Object.fromEntries(["job", "gone", "model", "adapter", "dtype", "recorded"].map(name => [name, query.get(name) || ""]));
  };

  wb.sender = (element, trigger, event) => {
    const typed = () => [...document.querySelectorAll("#prompt textarea, #form input, #form textarea")]
      .map(field => field.type === "radio" || field.type === "checkbox" ? field.checked : field.value);
    element.querySelector("#send").onclick = click => {
      if (click.detail > 1) return;  // the second half of a double click would find an empty prompt
      trigger(event, {job: wb.address(), key: wb.keyFor("send", wb.address(), typed())});
    };
  };

  // The command line follows the form: asked for once typing pauses, and after what Python changed in it.
  wb.command = (trigger, event) => {
    let timer = 0;
    wb.refreshCommand = () => { clearTimeout(timer); timer = setTimeout(() => trigger(event), 250); };
    for (const kind of ["input", "change", "click"])
      document.addEventListener(kind, heard => { if (heard.target.closest("#prompt, #form [role=group], #form fieldset, #form label, #form .number, #form .choice")) wb.refreshCommand(); });
    wb.refreshCommand();
  };

  const editTurn = (turn, send) => {
    const body = turn.querySelector(".plain"), tools = turn.querySelector(".tools");
    if (turn.querySelector("textarea")) return;
    const form = document.createElement("form"), box = document.createElement("textarea");
    box.value = body.textContent; box.rows = Math.min(12, box.value.split("\n").length + 2);
    box.setAttribute("aria-label", "Edit this message");
    const again = Object.assign(document.createElement("button"), {type: "submit", className: "q p", textContent: "Send again"});
    const leave = Object.assign(document.createElement("button"), {type: "button", className: "q", textContent: "Cancel"});
    const row = Object.assign(document.createElement("div"), {className: "row"});
    row.append(again, leave); form.append(box, row); body.hidden = tools.hidden = true; turn.append(form); box.focus();
    const close = () => { form.remove(); body.hidden = tools.hidden = false; turn.querySelector("[data-edit]").focus(); };
    leave.onclick = close;
    form.onsubmit = event => { event.preventDefault(); send(+turn.dataset.index, box.value); };
    box.onkeydown = event => {
      if (event.key === "Escape") { event.preventDefault(); event.stopPropagation(); close(); }
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); event.stopPropagation(); form.requestSubmit(); }
    };
  };
})();
