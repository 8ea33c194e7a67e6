// Data: giving a file, the list, and one data set with its preview. And an artifact's page.
(() => {
  "use strict";
  const query = name => new URLSearchParams(location.search).get(name) || "";
  const size = bytes => bytes >= 1e9 ? `${(bytes / 1e9).toPrecision(3)} GB` : bytes >= 1e6 ? `${(bytes / 1e6).toPrecision(3)} MB` : `${Math.max(1, Math.round(bytes / 1e3))} kB`;

  wb.data = (element, props, watch, trigger) => {
    const list = element.querySelector("[data-data-list]"), one = element.querySelector("[data-data-one]"), root = one.querySelector("[data-job]");
    const refused = list.querySelector("[data-refused]"), sending = list.querySelector("[data-sending]"), most = +list.dataset.most;
    let view = null, n = 0;
    const refuse = sentence => { refused.textContent = sentence; refused.hidden = !sentence; sending.hidden = true; };

    // Straight to the disk of the workbench, with its progress: Gradio's own upload stays closed.
    const give = file => {
      if (!file) return;
      if (file.size > most) { refuse(`${file.name} has ${size(file.size)}, and an upload at most ${size(most)}. Name a file on the worker's machine instead.`); return; }
      refuse("");
      const request = new XMLHttpRequest(), bar = sending.querySelector("em"), said = sending.querySelector("[data-sent]");
      sending.hidden = false; said.textContent = `Sending ${file.name}`;
      request.upload.onprogress = event => { bar.style.width = `${100 * event.loaded / event.total}%`; said.textContent = `Sending ${file.name}: ${size(event.loaded)} of ${size(event.total)}`; };
      request.onload = () => request.status === 201 ? location.assign(`/data?name=${JSON.parse(request.responseText).id}`) : refuse(request.responseText || `${file.name} was refused.`);
      request.onerror = () => refuse(`${file.name} did not arrive: the connection broke. Try it again.`);
      const isPrivate = list.querySelector("[data-private]")?.checked ? "&private=1" : "";
      request.open("POST", `/uploads?name=${encodeURIComponent(file.name)}${isPrivate}`);
      request.send(file);
    };
    list.querySelector("[data-file]").addEventListener("change", event => { give(event.target.files[0]); event.target.value = ""; });
    const drop = list.querySelector("[data-drop]");
    for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) drop.addEventListener(kind, event => {
      event.preventDefault();
      drop.classList.toggle("over", kind === "dragenter" || kind === "dragover");
      if (kind === "drop") give(event.dataTransfer.files[0]);
    });
    list.querySelector("[data-by-name]").addEventListener("submit", event => {
      event.preventDefault();
      const name = event.target.elements.name.value.trim();
      if (name) location.assign(`/data?name=${encodeURIComponent(name)}`);
    });
    list.addEventListener("click", event => {
      const button = event.target.closest("[data-remove]");
      if (button && confirm(`Delete ${button.dataset.name}? Runs that learned from it keep what they learned.`)) trigger("remove", {upload: button.dataset.remove});
    });

    one.addEventListener("submit", event => {
      const form = event.target.closest("[data-asks]");
      if (!form) return;
      event.preventDefault();
      const values = Object.fromEntries([...new FormData(form)]);
      trigger("preview", {...values, name: form.dataset.name, key: wb.keyFor("preview", form.dataset.name, values, n++)});
    });
    const follow = job => {
      if (view?.job === job) return;
      view?.close();
      for (const part of root.querySelectorAll("[data-part]")) part.innerHTML = part.wbHtml = "";
      view = wb.follow(root, job, {changed: () => { root.hidden = false; }, gone: () => { root.hidden = true; }});
    };
    wb.actions(root, () => view, trigger);
    watch("value", () => {
      const {sets, ask, job, go} = props.value || {};
      if (go) { location.assign(go); return; }
      if (sets !== undefined) { list.querySelector("[data-sets]").innerHTML = sets; list.hidden = false; }
      if (ask !== undefined) { one.querySelector("[data-ask]").innerHTML = ask; one.hidden = false; document.title = `${one.querySelector("h1").textContent} · LLM Workbench`; }
      if (job) { one.hidden = false; follow(job); }
      element.dataset.ready = "";
    });
    trigger("opened", {name: query("name"), job: wb.address(), n: n++});
  };

  // An artifact is asked for once; what it offers is done by the page.
  wb.artifact = (element, props, watch, trigger) => {
    const place = element.querySelector("[data-artifact]");
    watch("value", () => {
      const {html, go} = props.value || {};
      if (go) { location.assign(go); return; }
      if (html === undefined) return;
      place.innerHTML = html; wb.freshen(place);
      document.title = `${place.querySelector("h1")?.textContent || "Artifact"} · LLM Workbench`;
      element.dataset.ready = "";
    });
    element.addEventListener("click", event => {
      const button = event.target.closest("[data-do]");
      if (!button) return;
      button.disabled = true;
      trigger(button.dataset.do, {id: query("id"), key: wb.keyFor(button.dataset.do, query("id"))});
    });
    trigger("opened", {id: query("id")});
  };
})();
